"""What is read from a TPU's program, on a text made by hand."""

import hlo

PROGRAM = """HloModule jit_f, is_scheduled=true

%sum (b: f32[], c: f32[]) -> f32[] {
  %b = f32[]{:T(128)} parameter(0)
  %c = f32[]{:T(128)} parameter(1)
  ROOT %e = f32[]{:T(128)} add(%b, %c)
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %x = f32[8]{0:T(128)} get-tuple-element(%p), index=1
  %y = f32[8]{0:T(128)} multiply(%x, %x), backend_config={"estimated_cycles":"50"}
  %one = s32[]{:T(128)} constant(1)
  %j = s32[]{:T(128)} add(%i, %one), backend_config={"estimated_cycles":"9223372036854775807"}
  ROOT %r = (s32[]{:T(128)}, f32[8]{0:T(128)}) tuple(%j, %y)
}

%cond (q: (s32[], f32[8])) -> pred[] {
  %bound = s32[]{:T(128)} constant(14)
  %q = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %k = s32[]{:T(128)} get-tuple-element(%q), index=0
  ROOT %lt = pred[]{:T(512)} compare(%k, %bound), direction=LT
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0:T(128)} parameter(0)
  %zero = s32[]{:T(128)} constant(0)
  %s = (f32[8]{0:T(128)}, f32[8]{0:T(128)}, u32[], u32[]) collective-permute-start(%a)
  %d = f32[8]{0:T(128)} collective-permute-done(%s), backend_config={"estimated_cycles":"7"}
  %sums = (f32[2]{0:T(128)}, f32[4]{0:T(128)}) all-reduce-start(%d, %d), to_apply=%sum
  %t = (s32[]{:T(128)}, f32[8]{0:T(128)}) tuple(%zero, %d)
  %w = (s32[]{:T(128)}, f32[8]{0:T(128)}) while(%t), condition=%cond, body=%body
  ROOT %out = f32[8]{0:T(128)} get-tuple-element(%w), index=1
}
"""


def test_a_loop_runs_as_often_as_its_counter_is_compared_with():
    # The largest number stands where the compiler has no estimate.
    assert hlo.work(PROGRAM).cycles == 7 + 14 * 50


def test_what_is_exchanged_is_counted_without_operands_and_signals():
    found = {c.kind: c.bytes for c in hlo.collectives(PROGRAM)}
    assert found == {"collective-permute": 32, "all-reduce": 24}
