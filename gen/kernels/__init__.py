"""Kernels in C for what torch does slowly on a CPU. Without them everything runs on torch and numpy, only slower.

Begin with library.py: it chooses the variant for this processor (variants.py), which a wheel carries or a compiler
builds at first use (compiling.py). GEN_KERNELS=avx2, or another variant's name, holds the kernels to that one, and
GEN_KERNELS=off switches them off. Each kernel has a Python file that calls it, other code that computes the same where
it is not built, and a test that compares the two:

    window.py         a recurrent layer over a window of tokens in fp32 or bf16, forward and backward (window.h,
                      packing.h)
        replaces      torch's fused modules, in `gen.models.recurrent.RecurrentLM`
        test          tests/kernels/test_window.py
    cross_entropy.py  the loss of logits and its gradient in one pass, in fp32 or bf16 (cross_entropy.h)
        replaces      torch operations, in `gen.models.output_loss`
        test          tests/kernels/test_cross_entropy.py
    stepping.py       one token of every row through a whole model, in float32 or int8 (stepper.c, reading.c)
        replaces      torch operations, in `gen.models.packed`; nothing for int8
        test          tests/kernels/test_stepping.py, tests/models/test_stepper.py
    drawing.py        the filters and the draw of a token (sampler.c)
        replaces      numpy, `weigh` and `pick` in `gen.generation.sampling`
        test          tests/kernels/test_stepping.py, tests/generation/test_sampling.py
    writing.py        many steps and draws in one call (gen_sample_run in sampler.c)
        replaces      one step and one draw a token, in `gen.generation.generate`
        test          tests/kernels/test_stepping.py

The C files are one source over vectors.h; each kind of processor has a header: avx512.h, avx2.h or neon.h. amx.h has
tiles. fp32.c and bf16.c include the kernels of training. tests/kernels/test_processors.py runs the tests above on the
variants that this processor is not, those of ARM in an emulator.

pool.py runs pieces of work on threads that all of them share (pool.c; stages.c for pieces that need those before),
choice.py chooses the number of threads of steps, products.py cuts torch's products of matrices into pieces.
cells.py lists the cells that the kernels know; a cell without an entry runs on torch.
"""
