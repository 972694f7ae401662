"""Tasks: what the trainer asks of a method (`task`), and one module for each method.

`segmentation` is motion segmentation (EM, ST-MS, LT-MS). `kinds` lists the tasks by name, `fields`
says what a batch must hold, `observation` prepares clips for network and loss, and `pictures` draws
what a task predicts.
"""
