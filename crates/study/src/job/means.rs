//! Means over a job's corpus, which the first process that needs them measures for all: [`Job::means`].

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use stratigraph_core::{Edit, EditKind, ResidualModel};
use stratigraph_surgery::{Budget, CorpusMeans, Executor, Intervention, MeanActivation};

use super::Job;
use super::files::write_new;
use super::hash::hash_bytes;
use super::store::refuse_other;
use crate::{Result, StudyError};

const MEANS: &str = "means.safetensors";
/// Keys of the file's metadata: the hash of the job, and the hash of the tensors.
const JOB: &str = "job";
const SHA256: &str = "sha256";

/// Whether an intervention takes means from the corpus.
pub(crate) fn takes_means(intervention: &Intervention) -> bool {
    intervention.edits().iter().any(|edit| matches!(edit.kind(), EditKind::Mean(_)))
}

impl Job {
    /// The means that the job's interventions take from its corpus. They are read from the job's file; if there is none yet,
    /// they are measured on the whole corpus and written. If several processes measure them at once, all use the file of the
    /// first that writes.
    ///
    /// # Errors
    /// When the file is damaged or of another job, or the means cannot be measured or written.
    pub(crate) fn means(&self, model: &dyn ResidualModel, budget: Budget) -> Result<Arc<CorpusMeans>> {
        let path = self.means_file();
        if let Some(means) = self.read_means(&path)? {
            return Ok(means.into());
        }
        let executor = Executor::new(self.taking_means()).with_budget(budget);
        let means = executor.means(model, self.windows())?;
        if write_new(&path, &self.means_bytes(&means))? {
            return Ok(means.into());
        }
        let theirs = self.read_means(&path)?;
        let gone = || StudyError::io(&path, ErrorKind::NotFound.into());
        Ok(theirs.ok_or_else(gone)?.into())
    }

    fn means_file(&self) -> PathBuf {
        self.path().join(MEANS)
    }

    fn taking_means(&self) -> Vec<Intervention> {
        self.interventions().iter().filter(|intervention| takes_means(intervention)).cloned().collect()
    }

    /// The content of the file: a tensor for each mean, named like the edit that takes it.
    fn means_bytes(&self, means: &CorpusMeans) -> Vec<u8> {
        let tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = means.iter().map(stored).collect();
        let sha256 = hash_tensors(&tensors);
        let views = tensors.iter().map(|(name, (dims, bytes))| {
            (
                name.as_str(),
                TensorView::new(Dtype::F32, dims.clone(), bytes).expect("a mean has a value for each place"),
            )
        });
        let metadata = [(JOB.to_owned(), self.hash().to_owned()), (SHA256.to_owned(), sha256)].into();
        safetensors::serialize(views, Some(metadata)).expect("the metadata is plain text")
    }

    /// The means of the file; none where there is no file.
    fn read_means(&self, path: &Path) -> Result<Option<CorpusMeans>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(StudyError::io(path, reason)),
        };
        let damaged = |reason: String| StudyError::JobDamaged {
            path: path.to_owned(),
            reason: format!("{reason}; delete it, and run the shard again"),
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let held = metadata.metadata().clone().unwrap_or_default();
        let of = |key: &str| held.get(key).cloned().unwrap_or_default();
        refuse_other(path, "plan", of(JOB), self.hash())?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let tensor = |(name, view): (String, TensorView)| (name, (view.shape().to_vec(), view.data().to_vec()));
        let tensors: BTreeMap<_, _> = tensors.tensors().into_iter().map(tensor).collect();
        if hash_tensors(&tensors) != of(SHA256) {
            return Err(damaged("its means are not those that were written".to_owned()));
        }
        let means = tensors.iter().map(|(name, (dims, bytes))| read(name, dims, bytes));
        let means = means.collect::<Option<Vec<_>>>().map(CorpusMeans::new);
        let means = means.ok_or_else(|| damaged("it holds a tensor that is no mean".to_owned()))?;
        if !means.suffice_for(&self.taking_means())? {
            return Err(damaged("it does not have all means of the plan".to_owned()));
        }
        Ok(Some(means))
    }
}

fn stored(mean: &MeanActivation) -> (String, (Vec<usize>, Vec<u8>)) {
    let bytes = mean.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    (Edit::mean_over(mean.point, mean.over).to_string(), (mean.dims.clone(), bytes))
}

fn read(name: &str, dims: &[usize], bytes: &[u8]) -> Option<MeanActivation> {
    let edit: Edit = name.parse().ok()?;
    let EditKind::Mean(over) = edit.kind() else { return None };
    let (values, rest) = bytes.as_chunks::<4>();
    let is_whole = rest.is_empty() && matches!(dims.len(), 3 | 4) && dims.iter().product::<usize>() == values.len();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    is_whole.then(|| MeanActivation { point: edit.point(), over: *over, dims: dims.to_vec(), values })
}

/// The SHA-256 of names, shapes and values.
fn hash_tensors(tensors: &BTreeMap<String, (Vec<usize>, Vec<u8>)>) -> String {
    let bytes = tensors.iter().flat_map(|(name, (dims, bytes))| {
        let head = format!("{name} {dims:?}\n").into_bytes();
        head.into_iter().chain(bytes.iter().copied())
    });
    hash_bytes(&bytes.collect::<Vec<_>>())
}
