//! Lenses that read sweeps of a job: [`JobLens`] in its plan, and the numbers of fitted ones in `lenses/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use stratigraph_core::ResidualModel;
use stratigraph_probes::ProbeError;
use stratigraph_probes::lens::{FittedLens, FixedScaleLens, Lens, LensError, LensReading};

use super::files::write_whole;
use super::hash::hash_bytes;
use super::plan::bad;
use super::{Job, JobPlan, JobSweep};
use crate::{Result, StudyError};

pub(super) const LENSES: &str = "lenses";

/// The lens by which the residual streams of a sweep are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobLens {
    /// Its name, such as `affine_lens`.
    pub name: String,
    /// The SHA-256 of its file in the directory `lenses`; none where it has no numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it comes from, in words, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The residual position of each point of the sweep; none where the stream is read as the model's last one.
    pub positions: Vec<Option<usize>>,
    /// Residual positions for which it has no map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<usize>,
}

impl JobLens {
    /// The lens of some readings, if there is one, with the content of its file if it is fitted.
    ///
    /// # Errors
    /// When it is of a kind that another process cannot read, or there are several lenses.
    pub(super) fn of(sweep: &str, readings: &[Option<LensReading>]) -> Result<Option<(Self, Option<Vec<u8>>)>> {
        let Some(first) = readings.iter().flatten().next() else { return Ok(None) };
        let lens = first.lens();
        let cannot = |reason| Err(StudyError::CannotShard { name: sweep.to_owned(), reason });
        if readings.iter().flatten().any(|reading| !std::ptr::addr_eq(reading.lens(), lens)) {
            return cannot(
                "its points are read by several lenses; share one, or give each a sweep of its own".to_owned(),
            );
        }
        let file = lens.as_fitted().map(FittedLens::to_safetensors);
        if file.is_none() && lens.name() != FixedScaleLens.name() {
            return cannot(format!("the lens {} is code, which a job cannot hold; run it in a study", lens.name()));
        }
        let positions: Vec<_> = readings.iter().map(|reading| reading.as_ref().map(LensReading::position)).collect();
        let unread = positions.iter().flatten().copied().filter(|position| !lens.reads(*position)).collect();
        let sha256 = file.as_ref().map(|content| hash_bytes(content));
        let lens = Self { name: lens.name().to_owned(), sha256, origin: lens.origin(), positions, unread };
        Ok(Some((lens, file)))
    }

    /// The readings of a sweep's points, by a lens whose numbers are not here.
    ///
    /// # Errors
    /// When its name is not one of a file, there is not one for each point, or a position is not before the last of a model of
    /// `n_layers` layers.
    pub(super) fn readings(&self, sweep: &JobSweep, n_layers: usize) -> Result<Vec<Option<LensReading>>> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if self.name.is_empty() || !self.name.bytes().all(is_plain) {
            return Err(bad(format!("the name of a lens is {:?}, which is no name of a file", self.name)));
        }
        let fits = |position: &usize| *position < n_layers;
        if self.positions.len() != sweep.interventions.len() || !self.positions.iter().flatten().all(fits) {
            return Err(bad(format!("the lens {} does not read the points of the sweep {}", self.name, sweep.name)));
        }
        let lens: Arc<dyn Lens> = Arc::new(Unloaded(self.clone()));
        let reading = |position: &Option<usize>| position.map(|position| LensReading::new(lens.clone(), position));
        Ok(self.positions.iter().map(reading).collect())
    }

    fn file(&self, directory: &Path) -> PathBuf {
        directory.join(LENSES).join(format!("{}.safetensors", self.name))
    }

    /// Reads its numbers.
    fn load(&self, directory: &Path, model: &dyn ResidualModel) -> Result<Arc<dyn Lens>> {
        let Some(sha256) = &self.sha256 else { return Ok(Arc::new(FixedScaleLens)) };
        let path = self.file(directory);
        let content = fs::read(&path).map_err(|reason| StudyError::io(&path, reason))?;
        let found = hash_bytes(&content);
        if found != *sha256 {
            let reason = format!("it is not the lens of the plan: its SHA-256 is {found}, and the plan's {sha256}");
            return Err(StudyError::JobDamaged { path, reason });
        }
        Ok(Arc::new(FittedLens::from_safetensors(&content, &path, &model.shape(), &model.device())?))
    }
}

/// Writes the numbers of a plan's lenses to the directory of its job.
pub(super) fn write_lenses(directory: &Path, plan: &JobPlan) -> Result<()> {
    if plan.lens_files.is_empty() {
        return Ok(());
    }
    let parent = directory.join(LENSES);
    fs::create_dir_all(&parent).map_err(|reason| StudyError::io(&parent, reason))?;
    let mut written = plan.lens_files.iter();
    written.try_for_each(|(name, content)| write_whole(&parent.join(format!("{name}.safetensors")), content))
}

impl Job {
    /// The reading of each distinct intervention, with the numbers of lenses on a model's device.
    ///
    /// # Errors
    /// When the file of a lens cannot be read, or is not that of the plan.
    pub(super) fn loaded_readings(&self, model: &dyn ResidualModel) -> Result<Vec<Option<LensReading>>> {
        let mut lenses = BTreeMap::new();
        for lens in self.plan().sweeps.iter().filter_map(|sweep| sweep.lens.as_ref()) {
            if !lenses.contains_key(&lens.name) {
                lenses.insert(lens.name.clone(), lens.load(self.path(), model)?);
            }
        }
        let loaded =
            |reading: &LensReading| LensReading::new(lenses[reading.lens().name()].clone(), reading.position());
        Ok(self.runs().readings().iter().map(|reading| reading.as_ref().map(loaded)).collect())
    }
}

/// A lens whose numbers have not been read.
struct Unloaded(JobLens);

impl Lens for Unloaded {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn stream(&self, _position: usize, _rows: Tensor<2>) -> stratigraph_probes::Result<Tensor<2>> {
        let (path, reason) = (PathBuf::from(&self.0.name), "its numbers were not loaded".to_owned());
        Err(ProbeError::from(LensError::NotALens { path, reason }))
    }

    fn reads(&self, position: usize) -> bool {
        !self.0.unread.contains(&position)
    }

    fn origin(&self) -> Option<String> {
        self.0.origin.clone()
    }
}
