//! Weights in MXFP4 as gpt-oss stores them: [`Mxfp4`], which shows the two tensors of a weight as one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use super::{Safetensors, TensorFiles};
use crate::{ModelError, Result};

/// Values in a block, which share an exponent.
const BLOCK: usize = 32;
/// Bytes of a block: each holds two values, the first in its lower half.
const BYTES: usize = BLOCK / 2;
/// Blocks that one task takes.
const CHUNK: usize = 1 << 11;
/// What is added to an exponent; the largest number stands for NaN.
const BIAS: i32 = 127;

/// The values of four bits: one of sign, two of exponent, one of fraction.
const VALUES: [f64; 16] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

const BLOCKS: &str = "_blocks";
const SCALES: &str = "_scales";

/// Safetensors files some of whose weights are in MXFP4 (Open Compute Project, *OCP Microscaling Formats* 1.0): a weight
/// `NAME` is stored as the bytes `NAME_blocks`, `[.., n_blocks, 16]`, and their exponents `NAME_scales`, `[.., n_blocks]`. It
/// is shown as one tensor `NAME`, `[.., 32 n_blocks]`.
pub(crate) struct Mxfp4 {
    files: Box<dyn Safetensors + Send + Sync>,
    /// The shape of each weight in MXFP4, by its name.
    packed: BTreeMap<String, Vec<usize>>,
}

impl Mxfp4 {
    /// Finds the weights in MXFP4.
    ///
    /// # Errors
    /// When one of the two tensors of a weight is missing, or their shapes do not fit each other.
    pub(crate) fn new(files: Box<dyn Safetensors + Send + Sync>) -> Result<Self> {
        let mut packed = BTreeMap::new();
        for stored in files.names() {
            if let Some(name) = stored.strip_suffix(BLOCKS) {
                packed.insert(name.to_owned(), unpacked_shape(files.as_ref(), name)?);
            } else if let Some(name) = stored.strip_suffix(SCALES) {
                shape(files.as_ref(), name, BLOCKS)?;
            }
        }
        Ok(Self { files, packed })
    }
}

/// The shape of one of the two tensors of a weight.
fn shape(files: &dyn Safetensors, name: &str, which: &str) -> Result<Vec<usize>> {
    let name = format!("{name}{which}");
    files.shape(&name).ok_or(ModelError::MissingTensor { name })
}

/// The shape of a weight whose blocks are there.
fn unpacked_shape(files: &dyn Safetensors, name: &str) -> Result<Vec<usize>> {
    let (blocks, scales) = (shape(files, name, BLOCKS)?, shape(files, name, SCALES)?);
    let Some((&BYTES, of_scales)) = blocks.split_last() else {
        let expected = scales.iter().copied().chain([BYTES]).collect();
        return Err(ModelError::WrongShape { name: format!("{name}{BLOCKS}"), expected, found: blocks });
    };
    let Some((n_blocks, rest)) = of_scales.split_last().filter(|_| of_scales == scales) else {
        let expected = of_scales.to_vec();
        return Err(ModelError::WrongShape { name: format!("{name}{SCALES}"), expected, found: scales });
    };
    Ok(rest.iter().copied().chain([n_blocks.saturating_mul(BLOCK)]).collect())
}

impl TensorFiles for Mxfp4 {
    fn files(&self) -> Vec<PathBuf> {
        self.files.files()
    }

    fn names(&self) -> Vec<String> {
        let is_part = |name: &String| {
            let weight = name.strip_suffix(BLOCKS).or(name.strip_suffix(SCALES));
            weight.is_some_and(|weight| self.packed.contains_key(weight))
        };
        let mut names = self.files.names();
        names.retain(|name| !is_part(name));
        names.extend(self.packed.keys().cloned());
        names.sort();
        names
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.packed.get(name).cloned().or_else(|| self.files.shape(name))
    }

    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        if !self.packed.contains_key(name) {
            return self.files.read(name, elements);
        }
        let blocks = elements.start / BLOCK..elements.end.div_ceil(BLOCK);
        let bytes = self.files.read_bytes(&format!("{name}{BLOCKS}"), blocks.start * BYTES..blocks.end * BYTES)?;
        let scales = self.files.read_bytes(&format!("{name}{SCALES}"), blocks.clone())?;
        let mut values = decode(&bytes, &scales);
        let first = blocks.start * BLOCK;
        values.truncate(elements.end - first);
        values.drain(..elements.start - first);
        Ok(values)
    }
}

/// The values of whole blocks; each is exact.
fn decode(bytes: &[u8], scales: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; scales.len() * BLOCK];
    let chunks = bytes.par_chunks(CHUNK * BYTES).zip(scales.par_chunks(CHUNK));
    values.par_chunks_mut(CHUNK * BLOCK).zip(chunks).for_each(|(values, (bytes, scales))| {
        for ((values, bytes), scale) in values.chunks_mut(BLOCK).zip(bytes.chunks(BYTES)).zip(scales) {
            let table = table(*scale);
            for (pair, byte) in values.chunks_mut(2).zip(bytes) {
                pair[0] = table[usize::from(byte & 0xf)];
                pair[1] = table[usize::from(byte >> 4)];
            }
        }
    });
    values
}

/// The values of four bits in a block with this exponent.
fn table(scale: u8) -> [f32; 16] {
    let factor = if scale == u8::MAX { f64::NAN } else { 2f64.powi(i32::from(scale) - BIAS) };
    VALUES.map(|value| (value * factor) as f32)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;
    use crate::files::SafetensorsFile;

    #[test]
    fn values_are_those_of_the_format() {
        let powers = [(127, 1.0), (128, 2.0), (120, 2f32.powi(-7)), (0, 2f32.powi(-127)), (252, 2f32.powi(125))];
        for (scale, power) in powers {
            let halves: Vec<u8> = (0..8).map(|low| low | (low + 8) << 4).chain([0; 8]).collect();
            let found = decode(&halves, &[scale]);
            for (pair, size) in found.chunks(2).zip([0.0f32, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]) {
                assert_eq!(pair, [size * power, -size * power], "{scale}");
            }
            assert!(found[16..].iter().all(|value| *value == 0.0));
        }
        assert!(decode(&[0x11; 16], &[255]).iter().all(|value| value.is_nan()));
    }

    /// A file of a weight's two tensors with these shapes.
    fn file(blocks: &[usize], scales: &[usize]) -> (tempfile::NamedTempFile, Result<Mxfp4>) {
        let n = |shape: &[usize]| shape.iter().product::<usize>();
        let (bytes, exponents): (Vec<u8>, Vec<u8>) =
            ((0..n(blocks)).map(|i| (i * 37) as u8).collect(), (0..n(scales)).map(|i| 120 + i as u8).collect());
        let view = |shape: &[usize], data| TensorView::new(Dtype::U8, shape.to_vec(), data).unwrap();
        let tensors = [("w_blocks", view(blocks, &bytes)), ("w_scales", view(scales, &exponents))];
        let tensors = tensors.into_iter().filter(|(_, view)| !view.shape().is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), safetensors::serialize(tensors, None).unwrap()).unwrap();
        let opened = SafetensorsFile::open(file.path()).and_then(|file| Mxfp4::new(Box::new(file)));
        (file, opened)
    }

    #[test]
    fn two_tensors_are_shown_as_one_and_any_part_is_read() {
        let (_keep, opened) = file(&[2, 3, 2, 16], &[2, 3, 2]);
        let opened = opened.unwrap();
        assert_eq!((opened.names(), opened.shape("w")), (vec!["w".to_owned()], Some(vec![2, 3, 64])));
        let all = opened.read_all("w").unwrap();
        assert_eq!(all.len(), 2 * 3 * 64);
        // The second block: bytes 16 to 31, and the exponent 121.
        let byte = 16u8.wrapping_mul(37);
        assert_eq!(all[32], VALUES[usize::from(byte & 0xf)] as f32 / 64.0);
        assert_eq!(all[33], VALUES[usize::from(byte >> 4)] as f32 / 64.0);
        for part in [0..64, 32..96, 5..7, 31..33, 40..384, 7..7] {
            assert_eq!(opened.read("w", part.clone()).unwrap(), all[part]);
        }
    }

    #[test]
    fn tensors_that_do_not_fit_each_other_are_named() {
        for (blocks, scales, part) in [
            (&[2, 3, 16][..], &[2, 4][..], "w_scales"),
            (&[2, 3, 8], &[2, 3], "w_blocks"),
            (&[2, 3, 16], &[], "the checkpoint lacks the tensor `w_scales`"),
            (&[], &[2, 3], "the checkpoint lacks the tensor `w_blocks`"),
        ] {
            let message = file(blocks, scales).1.map(drop).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
