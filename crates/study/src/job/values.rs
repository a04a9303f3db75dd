//! Tensors of edits in a job's directory, each in a file named after its id: [`write_values`], [`read_values`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use stratigraph_core::{Activation, EditData, EditValues};

use super::JobPlan;
use super::files::write_whole;
use crate::{Result, StudyError};

pub(super) const VALUES: &str = "values";

/// Writes the tensors of a plan to the directory of its job.
pub(crate) fn write_values(directory: &Path, values: &BTreeMap<String, EditValues>) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let parent = directory.join(VALUES);
    fs::create_dir_all(&parent).map_err(|reason| StudyError::io(&parent, reason))?;
    for (id, values) in values {
        let bytes: Vec<u8> = values.activation().to_vec().iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, values.activation().dims(), &bytes).expect("a tensor has its shape");
        let file = safetensors::serialize([(VALUES, view)], None).expect("there is no metadata");
        write_whole(&file_of(directory, id), &file)?;
    }
    Ok(())
}

/// Reads the tensors that the texts of a plan name.
///
/// # Errors
/// When a file is missing or damaged.
pub(crate) fn read_values(directory: &Path, plan: &JobPlan) -> Result<EditData> {
    let texts = plan.sweeps.iter().flat_map(|sweep| &sweep.interventions);
    let texts = texts.chain(plan.interventions.iter().map(|single| &single.text));
    let ids: BTreeSet<String> = texts.flat_map(|text| ids(text)).collect();
    ids.into_iter().try_fold(EditData::default(), |data, id| Ok(data.with_values(read(&file_of(directory, &id), &id)?)))
}

fn file_of(directory: &Path, id: &str) -> PathBuf {
    directory.join(VALUES).join(format!("{id}.safetensors"))
}

/// The ids in a text: eight hexadecimal digits after `(#`.
fn ids(text: &str) -> impl Iterator<Item = String> + '_ {
    let id = |(at, mark): (usize, &str)| text.get(at + mark.len()..at + mark.len() + 8);
    let is_id = |id: &&str| id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.match_indices("(#").filter_map(id).filter(is_id).map(str::to_owned)
}

fn read(path: &Path, id: &str) -> Result<EditValues> {
    let bytes = fs::read(path).map_err(|reason| StudyError::io(path, reason))?;
    let damaged = |reason: String| StudyError::JobDamaged { path: path.to_owned(), reason };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let view = tensors.tensor(VALUES).map_err(|error| damaged(error.to_string()))?;
    let values: Vec<f32> = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (data, device) = (TensorData::new(values, view.shape().to_vec()), Device::default());
    let activation = match (view.dtype(), view.shape().len()) {
        (Dtype::F32, 3) => Activation::Wide(Tensor::from_data(data, &device)),
        (Dtype::F32, 4) => Activation::Heads(Tensor::from_data(data, &device)),
        (dtype, n_axes) => {
            return Err(damaged(format!("it holds {n_axes} axes of {dtype:?}, not three or four of F32")));
        }
    };
    let values = EditValues::new(activation);
    if values.id() == id { Ok(values) } else { Err(damaged(format!("its values have the id {}", values.id()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_texts() {
        let text = "0..3 | blocks.0.hook_resid_pre add(#0123abcd) | blocks.1.hook_resid_pre pos=1.. patch(#deadbeef)";
        assert_eq!(ids(text).collect::<Vec<_>>(), ["0123abcd", "deadbeef"]);
        for text in ["0..3", "add(#12)", "add(#../../up)", "add(#0123ABCD)", "(#é1234567"] {
            assert_eq!(ids(text).count(), 0, "{text}");
        }
    }
}
