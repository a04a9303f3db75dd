//! A file of one vector: [`read_vector`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{SafetensorsFile, TensorFiles};
use crate::{ModelError, Result};

/// The numbers of a file that holds one vector of a known width, such as a direction to steer along: a JSON array of numbers, or
/// a safetensors file with one tensor, of which at most one axis is longer than 1. A file that is larger than such a vector can
/// be is not read.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("vector.json");
/// std::fs::write(&path, "[1, -0.5, 2e-3]")?;
/// assert_eq!(stratigraph_models::read_vector(&path, 3)?, [1.0, -0.5, 0.002]);
/// assert!(stratigraph_models::read_vector(&path, 768).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be read or is neither, it is too large, it holds no or several tensors, the tensor is a matrix, it has
/// more or fewer than `width` numbers, or one of them is not finite.
pub fn read_vector(path: impl AsRef<Path>, width: usize) -> Result<Vec<f32>> {
    let path = path.as_ref();
    let malformed = |reason: String| ModelError::malformed(path, reason);
    let bytes = beginning(path, most_bytes(width))?;
    // A safetensors file begins with the length of its header in eight bytes, the last of which is 0; a text has none.
    let values: Vec<f32> = match bytes.get(7) {
        _ if bytes.len() as u64 > most_bytes(width) => {
            let most = most_bytes(width);
            return Err(malformed(format!(
                "it has more than {most} bytes, and a vector of {width} numbers takes fewer"
            )));
        }
        Some(0) => only_tensor(path, width)?,
        _ => serde_json::from_slice(&bytes).map_err(|error| {
            malformed(format!("it is neither a JSON array of numbers nor a safetensors file ({error})"))
        })?,
    };
    if values.len() != width {
        return Err(malformed(format!("it has {} numbers, and {width} are needed", values.len())));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(malformed(format!("number {index} is not finite"))),
        None => Ok(values),
    }
}

/// More than a file of a vector has: its numbers with all their digits, each on a line of its own, or a header.
fn most_bytes(width: usize) -> u64 {
    const NUMBER: u64 = 64;
    const HEADER: u64 = 1 << 16;
    (width as u64).saturating_mul(NUMBER).saturating_add(HEADER)
}

/// A file as far as `n_bytes` and a byte more, whatever the system says about its length.
fn beginning(path: &Path, n_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ModelError::io(path))?;
    file.take(n_bytes + 1).read_to_end(&mut bytes).map_err(ModelError::io(path))?;
    Ok(bytes)
}

/// The values of the only tensor of a safetensors file.
fn only_tensor(path: &Path, width: usize) -> Result<Vec<f32>> {
    let file = SafetensorsFile::open(path)?;
    let names = file.names();
    let [name] = &names[..] else {
        let reason = format!("it has {} tensors ({}), and a file of a vector has one", names.len(), names.join(", "));
        return Err(ModelError::malformed(path, reason));
    };
    let shape = file.shape(name).unwrap_or_default();
    if shape.iter().filter(|length| **length > 1).count() > 1 {
        let reason = format!("its tensor `{name}` has the shape {shape:?}, not that of a vector");
        return Err(ModelError::malformed(path, reason));
    }
    let n = shape.iter().product::<usize>();
    if n != width {
        return Err(ModelError::malformed(path, format!("it has {n} numbers, and {width} are needed")));
    }
    file.read_all(name).map_err(|error| ModelError::malformed(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn read(bytes: &[u8], width: usize) -> std::result::Result<Vec<f32>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vector");
        std::fs::write(&path, bytes).unwrap();
        read_vector(&path, width).map_err(|error| error.to_string())
    }

    /// A safetensors file of tensors of these shapes, whose values count from 1.
    fn counting(shapes: &[&[usize]]) -> Vec<u8> {
        let data: Vec<Vec<u8>> = shapes
            .iter()
            .map(|shape| (1..=shape.iter().product::<usize>()).flat_map(|x| (x as f32).to_le_bytes()).collect())
            .collect();
        let views = shapes.iter().zip(&data).enumerate().map(|(index, (shape, data))| {
            (format!("t{index}"), TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn both_kinds_of_files_are_read() {
        assert_eq!(read(b" [1, 2.5,\n-3]", 3).unwrap(), [1.0, 2.5, -3.0]);
        assert_eq!(read(b"[1]", 1).unwrap(), [1.0]);
        for shape in [&[3][..], &[1, 3], &[1, 1, 3], &[3, 1]] {
            assert_eq!(read(&counting(&[shape]), 3).unwrap(), [1.0, 2.0, 3.0], "{shape:?}");
        }
        // Every digit of a number, each on its own line.
        let digits = format!("[\n{}\n]", vec!["    -1.1754943508222875e-38"; 5000].join(",\n"));
        assert_eq!(read(digits.as_bytes(), 5000).unwrap().len(), 5000);
    }

    #[test]
    fn what_is_no_vector_is_named() {
        let says = |bytes: &[u8], part: &str| {
            let message = read(bytes, 2).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        says(b"", "neither a JSON array of numbers nor a safetensors file");
        says(b"[[1, 2], [3, 4]]", "neither a JSON array");
        says(b"[1, \"two\"]", "neither a JSON array");
        says(b"[]", "it has 0 numbers, and 2 are needed");
        says(b"[1, 2, 3]", "it has 3 numbers, and 2 are needed");
        says(b"[1, 1e99]", "number out of range");
        let bytes = [1.0, f32::NAN].map(f32::to_le_bytes).concat();
        let view = TensorView::new(Dtype::F32, vec![2], &bytes).unwrap();
        says(&safetensors::serialize([("t", view)], None).unwrap(), "number 1 is not finite");
        says(&counting(&[&[2], &[3]]), "it has 2 tensors (t0, t1), and a file of a vector has one");
        says(&counting(&[&[2, 3]]), "its tensor `t0` has the shape [2, 3], not that of a vector");
        says(&counting(&[&[0]]), "it has 0 numbers, and 2 are needed");
        says(&counting(&[&[3]]), "it has 3 numbers, and 2 are needed");
        says(&[8, 0, 0, 0, 0, 0, 0, 0, b'x'], "is damaged or not what it seems");
        assert!(matches!(read_vector("no/such/file", 2), Err(ModelError::Io { .. })));
        assert!(matches!(read_vector(env!("CARGO_MANIFEST_DIR"), 2), Err(ModelError::Io { .. })), "a directory");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let large = [b"[1, 2".to_vec(), vec![b' '; 1 << 20], b"]".to_vec()].concat();
        let message = read(&large, 2).unwrap_err();
        assert!(message.contains("it has more than 65664 bytes, and a vector of 2 numbers takes fewer"), "{message}");
        #[cfg(target_os = "linux")]
        assert!(read_vector("/dev/zero", 2).unwrap_err().to_string().contains("more than 65664 bytes"));
    }
}
