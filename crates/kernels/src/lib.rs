//! Vectorised passes over plain memory, for tensors in the host's memory.
//!
//! On CPU backends elementwise tensor operations are scalar and make a pass each. These functions do the same work in
//! one pass: the reductions of a row of logits ([`softmax`]), the nonlinearity of an MLP ([`gated_silu`] and similar
//! ones), norms ([`rms_norm`], [`layer_norm`]), the softmax of attention ([`causal_softmax`]) and the rearrangement of
//! heads ([`split_head`], [`join_heads`]), sums of products and of powers in f64 ([`add_products`], [`power_sums`]), and
//! products with weights in 16 bit ([`HalfMatrix`]). Hot functions are also compiled for AVX2, which is used if the CPU has it.
//! This crate does not use tensors.
//!
//! ```
//! use stratigraph_kernels::rms_norm;
//!
//! let normed = rms_norm(&[3.0, 4.0, 0.0, 5.0], &[1.0, 2.0], 0.0); // two rows of two
//! let scale = 12.5f32.sqrt();
//! assert!((normed[0] - 3.0 / scale).abs() < 1e-6 && (normed[1] - 8.0 / scale).abs() < 1e-6);
//! ```

mod activation;
mod attention;
mod exp;
mod half_matrix;
mod heads;
mod lanes;
mod moments;
mod norm;
mod products;
pub mod softmax;

pub use activation::{gated_gelu, gated_gelu_tanh, gated_silu, gelu, gelu_tanh, silu};
pub use attention::causal_softmax;
pub use half_matrix::{Bfloat16Unit, HalfFormat, HalfMatrix};
pub use heads::{Angles, join_heads, split_head};
pub use moments::power_sums;
pub use norm::{layer_norm, layer_norm_by, layer_scales, rms_norm, rms_norm_by, rms_scales};
pub use products::{add_products, dot};

/// Compiles a function twice, for the target's baseline and for AVX2, and calls the version that the CPU supports.
macro_rules! for_best_cpu {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) -> $result {
            #[inline(always)]
            fn plain($($arg: $type),*) -> $result $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) -> $result {
                    plain($($arg),*)
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: the line above has made sure that the CPU has what `avx2` is compiled for.
                    #[allow(unsafe_code)]
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}
pub(crate) use for_best_cpu;
