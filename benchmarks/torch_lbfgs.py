"""The fit as the thesis runs it: PyTorch's L-BFGS on a dense design matrix.

One joint problem over the batch and the masks, started at weighted least squares, 20 iterations,
strong Wolfe line search, history of 100. Written from that description for comparison only; needs
the `[torch]` extra.
"""

import numpy as np
import torch


def lbfgs_fit(
    flow: np.ndarray, masks: np.ndarray, design: np.ndarray, iterations: int = 20
) -> np.ndarray:
    """L1 fit of every mask's motion model.

    Args:
        flow: `[B, T, H, W, 2]`.
        masks: `[B, T, H, W, K]`.
        design: `[T, H, W, 2, P]`.
        iterations: L-BFGS iterations.

    Returns:
        theta `[B, K, P]`.
    """
    segments = masks.shape[-1]
    # One design matrix per sample and mask, as the published code has it.
    batch = flow.shape[0]
    matrix = torch.from_numpy(design.astype(np.float32)).reshape(-1, design.shape[-1])
    matrix = matrix.expand(batch * segments, -1, -1).contiguous()
    target = torch.from_numpy(flow).reshape(batch, 1, -1).repeat(1, segments, 1)
    weight = torch.from_numpy(masks)[..., None, :].expand(*masks.shape[:-1], 2, segments)
    weight = weight.reshape(batch, -1, segments).transpose(1, 2).contiguous()
    target, weight = target.reshape(batch * segments, -1), weight.reshape(batch * segments, -1)

    weighted = matrix * weight[..., None]
    gram = weighted.transpose(1, 2) @ matrix
    right = weighted.transpose(1, 2) @ target[..., None]
    ridge = 1e-6 * torch.eye(gram.shape[-1])
    theta = torch.linalg.solve(gram + ridge, right)[..., 0]
    del weighted

    theta = theta.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [theta], max_iter=iterations, history_size=100, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        residual = target - (matrix @ theta[..., None])[..., 0]
        loss = (weight * residual.abs()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return theta.detach().reshape(batch, segments, -1).numpy()
