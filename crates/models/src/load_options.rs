//! How weights are put on a device: [`LoadOptions`].

use stratigraph_core::Precision;

/// How weights are put on a device.
///
/// ```
/// use stratigraph_core::Precision;
/// use stratigraph_models::LoadOptions;
///
/// let options = LoadOptions::default().with_precision(Precision::Bf16);
/// assert_eq!(options.largest_tensor_bytes, 128 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The largest tensor in bytes; embedding and unembedding are split to stay below it. 128 MiB by default, which is
    /// the least that any graphics adapter grants.
    pub largest_tensor_bytes: usize,
    /// How the weights of linear maps, embedding and unembedding are held; f32 by default. Routers of experts, norms and biases are
    /// f32 in any case. 16-bit weights are for CPU devices, and not for training.
    pub precision: Precision,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { largest_tensor_bytes: 128 << 20, precision: Precision::F32 }
    }
}

impl LoadOptions {
    /// With another size of the largest tensor.
    pub fn with_largest_tensor_bytes(self, largest_tensor_bytes: usize) -> Self {
        Self { largest_tensor_bytes, ..self }
    }

    /// With another precision.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }
}
