//! How weights are held: [`Precision`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CoreError;

/// How a model holds the weights of its linear maps, its embedding and its unembedding. The residual stream, norms, softmax
/// and sums are f32 in any case.
///
/// ```
/// use stratigraph_core::Precision;
///
/// assert_eq!("bf16".parse(), Ok(Precision::Bf16));
/// assert_eq!(Precision::default().to_string(), "f32");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 4 bytes a weight, as they are read.
    #[default]
    F32,
    /// bfloat16: 2 bytes a weight, 8 significant bits, the range of f32.
    Bf16,
    /// Half precision: 2 bytes a weight, 11 significant bits, values up to 65,504.
    F16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

    /// Its name, such as `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = CoreError;

    fn from_str(name: &str) -> Result<Self, CoreError> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| CoreError::UnknownPrecision { name: name.to_owned() })
    }
}
