//! Files of PyTorch with tensors: read by [`TorchFile`], and written by [`write_state_dict`].

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader};
use serde::de::DeserializeOwned;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::LensError;
use super::safetensors_file::write_whole;
use crate::{ProbeError, Result};

/// A file that `torch.save` wrote. No code in it is run: only tensors and plain values are read.
pub(super) struct TorchFile {
    path: PathBuf,
    reader: PytorchReader,
}

impl TorchFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let reader = PytorchReader::new(path).map_err(|reason| not_a_lens(path, reason))?;
        Ok(Self { path: path.to_owned(), reader })
    }

    /// The names of its tensors; those in dictionaries have the keys on the path to them, separated by dots.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.reader.tensors().keys().map(String::as_str)
    }

    /// Its plain values that `T` names.
    pub(super) fn values<T: DeserializeOwned>(&self) -> Result<T> {
        PytorchReader::load_config(&self.path, None).map_err(|reason| not_a_lens(&self.path, reason))
    }

    /// A square matrix in row-major order; its width is found with it.
    pub(super) fn matrix(&self, name: &str) -> Result<Matrix> {
        match self.tensor(name)? {
            (shape, values) if shape.len() == 2 && shape[0] == shape[1] && shape[0] > 0 => {
                Ok(Matrix { width: shape[0], values })
            }
            (shape, _) => {
                Err(not_a_lens(&self.path, format!("`{name}` has the shape {shape:?}, not that of a square")))
            }
        }
    }

    /// A vector of this length.
    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        match self.tensor(name)? {
            (shape, values) if shape == [length] => Ok(values),
            (shape, _) => Err(not_a_lens(&self.path, format!("`{name}` has the shape {shape:?}, not [{length}]"))),
        }
    }

    /// The shape of a tensor, and its numbers in row-major order.
    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let not_a_lens = |reason: String| not_a_lens(&self.path, reason);
        let tensor = self.reader.get(name).ok_or_else(|| not_a_lens(format!("it has no tensor `{name}`")))?;
        let decode: fn(&[u8]) -> f32 = match tensor.dtype() {
            DType::F32 => |bytes| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            DType::F16 => |bytes| f16::from_ne_bytes([bytes[0], bytes[1]]).to_f32(),
            DType::BF16 => |bytes| bf16::from_ne_bytes([bytes[0], bytes[1]]).to_f32(),
            DType::F64 => |bytes| f64::from_ne_bytes(bytes.try_into().expect("eight bytes")) as f32,
            other => return Err(not_a_lens(format!("`{name}` has numbers of the type {other:?}, not floats"))),
        };
        let bytes = tensor.read().map_err(|reason| not_a_lens(reason.to_string()))?;
        let values: Vec<f32> = bytes.chunks_exact(tensor.dtype().size()).map(decode).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(not_a_lens(format!("`{name}` has a number that is not finite, {}", values[index]))),
            None => Ok((tensor.shape().to_vec(), values)),
        }
    }
}

/// A square matrix in row-major order.
pub(super) struct Matrix {
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

/// An error about a file that is not the lens it should be.
pub(super) fn not_a_lens(path: &Path, reason: impl ToString) -> ProbeError {
    LensError::NotALens { path: path.to_owned(), reason: reason.to_string() }.into()
}

/// A tensor to write.
pub(super) struct TorchTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Writes tensors as a state dictionary in f32, as `torch.save` does: a zip of a pickle and the numbers of each tensor.
/// The file is either complete or absent.
pub(super) fn write_state_dict(path: &Path, tensors: &[TorchTensor]) -> Result<()> {
    write_whole(path, |partial| {
        let mut zip = ZipWriter::new(File::create(partial)?);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        let mut entry = |name: &str, content: &[u8]| -> io::Result<()> {
            zip.start_file(format!("archive/{name}"), options)?;
            zip.write_all(content)
        };
        entry("data.pkl", &pickled(tensors))?;
        entry("byteorder", b"little")?;
        for (index, tensor) in tensors.iter().enumerate() {
            let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            entry(&format!("data/{index}"), &bytes)?;
        }
        entry("version", b"3\n")?;
        zip.finish()?.sync_all()
    })
}

/// The pickle, of protocol 2, of an `OrderedDict` of the tensors; the storage of each has its index as its key.
fn pickled(tensors: &[TorchTensor]) -> Vec<u8> {
    const EMPTY_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(EMPTY_DICT);
    pickle.push(b'(');
    for (index, TorchTensor { name, shape, values }) in tensors.iter().enumerate() {
        pickle.extend(text(name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(text("storage"));
        pickle.extend(b"ctorch\nFloatStorage\n");
        pickle.extend([text(&index.to_string()), text("cpu"), number(values.len())].concat());
        pickle.extend(b"tQ"); // the tuple is the persistent id of the storage
        pickle.extend([number(0), tuple(shape), tuple(&strides(shape))].concat());
        pickle.push(0x89); // it needs no gradient
        pickle.extend(EMPTY_DICT); // and has no hooks
        pickle.extend(b"tR");
    }
    pickle.extend(b"u.");
    pickle
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short name");
    [b"X", &length.to_le_bytes()[..], text.as_bytes()].concat()
}

fn number(number: usize) -> Vec<u8> {
    let number = i32::try_from(number).expect("fewer numbers than 31 bits count");
    [b"J", &number.to_le_bytes()[..]].concat()
}

fn tuple(numbers: &[usize]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|it| number(*it)).collect();
    [b"(", &numbers[..], b"t"].concat()
}

/// The stride of each axis, in row-major order.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("params.pt");
        let tensors = [
            TorchTensor { name: "0.weight".into(), shape: vec![2, 2], values: vec![1.0, -2.5, 3.0, 4.0] },
            TorchTensor { name: "0.bias".into(), shape: vec![2], values: vec![0.5, 1e-20] },
        ];
        write_state_dict(&path, &tensors).unwrap();
        let file = TorchFile::open(&path).unwrap();
        let matrix = file.matrix("0.weight").unwrap();
        assert_eq!((matrix.width, matrix.values), (2, tensors[0].values.clone()));
        assert_eq!(file.vector("0.bias", 2).unwrap(), tensors[1].values);
        assert_eq!(file.names().count(), 2);
        for (error, part) in [
            (file.matrix("1.weight").err(), "it has no tensor `1.weight`"),
            (file.matrix("0.bias").err(), "`0.bias` has the shape [2], not that of a square"),
            (file.vector("0.bias", 3).err(), "`0.bias` has the shape [2], not [3]"),
        ] {
            let error = error.unwrap().to_string();
            assert!(error.ends_with(part), "{error}");
        }
    }
}
