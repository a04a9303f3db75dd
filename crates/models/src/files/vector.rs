//! A file of one vector: [`read_vector`].

use std::fs;
use std::path::Path;

use super::{SafetensorsFile, TensorFiles};
use crate::{ModelError, Result};

/// The numbers of a file that holds one vector, such as a direction to steer along: a JSON array of numbers, or a safetensors
/// file with one tensor, of which at most one axis is longer than 1.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("vector.json");
/// std::fs::write(&path, "[1, -0.5, 2e-3]")?;
/// assert_eq!(stratigraph_models::read_vector(&path)?, [1.0, -0.5, 0.002]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be read or is neither, it holds no or several tensors, the tensor is a matrix, or a number is not
/// finite.
pub fn read_vector(path: impl AsRef<Path>) -> Result<Vec<f32>> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(ModelError::io(path))?;
    let malformed = |reason: String| ModelError::malformed(path, reason);
    // A safetensors file begins with the length of its header in eight bytes, the last of which is 0; a text has none.
    let values = match bytes.get(7) {
        Some(0) => only_tensor(path)?,
        _ => serde_json::from_slice(&bytes).map_err(|error| {
            malformed(format!("it is neither a JSON array of numbers nor a safetensors file ({error})"))
        })?,
    };
    if values.is_empty() {
        return Err(malformed("it has no numbers".to_owned()));
    }
    match values.iter().position(|value: &f32| !value.is_finite()) {
        Some(index) => Err(malformed(format!("number {index} is not finite"))),
        None => Ok(values),
    }
}

/// The values of the only tensor of a safetensors file.
fn only_tensor(path: &Path) -> Result<Vec<f32>> {
    let file = SafetensorsFile::open(path)?;
    let names = file.names();
    let [name] = &names[..] else {
        let reason = format!("it has {} tensors ({}), and a file of a vector has one", names.len(), names.join(", "));
        return Err(ModelError::malformed(path, reason));
    };
    let shape = file.shape(name).unwrap_or_default();
    if shape.iter().filter(|length| **length > 1).count() > 1 {
        return Err(ModelError::malformed(
            path,
            format!("its tensor `{name}` has the shape {shape:?}, not that of a vector"),
        ));
    }
    file.read_all(name)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn read(bytes: &[u8]) -> std::result::Result<Vec<f32>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vector");
        fs::write(&path, bytes).unwrap();
        read_vector(&path).map_err(|error| error.to_string())
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
        assert_eq!(read(b" [1, 2.5,\n-3]").unwrap(), [1.0, 2.5, -3.0]);
        assert_eq!(read(b"[1]").unwrap(), [1.0]);
        for shape in [&[3][..], &[1, 3], &[1, 1, 3], &[3, 1]] {
            assert_eq!(read(&counting(&[shape])).unwrap(), [1.0, 2.0, 3.0], "{shape:?}");
        }
    }

    #[test]
    fn what_is_no_vector_is_named() {
        let says = |bytes: &[u8], part: &str| {
            let message = read(bytes).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        says(b"", "neither a JSON array of numbers nor a safetensors file");
        says(b"[[1, 2], [3, 4]]", "neither a JSON array");
        says(b"[1, \"two\"]", "neither a JSON array");
        says(b"[]", "it has no numbers");
        says(b"[1, 1e99]", "number out of range");
        let bytes = [1.0, f32::NAN].map(f32::to_le_bytes).concat();
        let view = TensorView::new(Dtype::F32, vec![2], &bytes).unwrap();
        says(&safetensors::serialize([("t", view)], None).unwrap(), "number 1 is not finite");
        says(&counting(&[&[2], &[3]]), "it has 2 tensors (t0, t1), and a file of a vector has one");
        says(&counting(&[&[2, 3]]), "its tensor `t0` has the shape [2, 3], not that of a vector");
        says(&counting(&[&[0]]), "it has no numbers");
        says(&[8, 0, 0, 0, 0, 0, 0, 0, b'x'], "is damaged or not what it seems");
        assert!(matches!(read_vector("no/such/file"), Err(ModelError::Io { .. })));
    }
}
