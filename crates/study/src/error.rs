//! Any error of the workspace: [`Error`].

use std::path::{Path, PathBuf};

use stratigraph_surgery::LayerPlan;

use crate::Backend;

/// The result of an operation of the facade.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of any Stratigraph crate, or of choosing a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of the vocabulary or a corpus.
    #[error(transparent)]
    Core(#[from] stratigraph_core::CoreError),
    /// Of a checkpoint.
    #[error(transparent)]
    Model(#[from] stratigraph_models::ModelError),
    /// Of surgery.
    #[error(transparent)]
    Surgery(#[from] stratigraph_surgery::SurgeryError),
    /// Of a measure.
    #[error(transparent)]
    Probe(#[from] stratigraph_probes::ProbeError),
    /// Of a task.
    #[error(transparent)]
    Task(#[from] stratigraph_tasks::TaskError),
    /// Of writing results.
    #[error(transparent)]
    Report(#[from] stratigraph_report::ReportError),
    /// A model that is neither a path nor to be had from the hub.
    #[error("there is no file or directory `{model}`, and the hub does not give it: {reason}")]
    NoSuchModel {
        /// The model as it was given.
        model: String,
        /// Why the hub or its cache does not give it.
        reason: stratigraph_hub::HubError,
    },
    /// A name that is no backend's.
    #[error("unknown device `{name}`; known: flex, ndarray, wgpu")]
    UnknownBackend {
        /// The name as it was given.
        name: String,
    },
    /// A text that names no device.
    #[error("`{name}` names no device; write flex, ndarray, wgpu, wgpu:N, remote:ws://HOST:PORT or remote:ID")]
    UnknownDevice {
        /// The name as it was given.
        name: String,
    },
    /// Remote devices were left out when the program was built.
    #[error("remote devices are not part of this build; build it with `--features remote`")]
    RemoteNotBuilt,
    /// A remote device that cannot be connected.
    #[error("the remote device {server} cannot be used: {reason}")]
    RemoteUnreachable {
        /// The server as it was given.
        server: String,
        /// Why.
        reason: String,
    },
    /// A remote device that was lost while it was used.
    #[error("a remote device was lost, or the program is at fault: {reason}")]
    RemoteLost {
        /// What burn says.
        reason: String,
    },
    /// An experiment that reads or edits what the model does not show, or repeats more layers than it has.
    #[error(
        "the experiment `{experiment}` cannot be done with this model: it lacks layers, hooks or weights that it takes"
    )]
    ExperimentImpossible {
        /// The experiment.
        experiment: crate::Experiment,
    },
    /// A name that is no experiment's.
    #[error(
        "unknown experiment `{name}`; known: delete, swap, lens, repeat_N (N layers twice), attention, geometry, neurons, \
         and delete_, mean_ or resample_ before attention or mlp"
    )]
    UnknownExperiment {
        /// The name as it was given.
        name: String,
    },
    /// A backend that was left out when the program was built.
    #[error("the device {backend} is not part of this build; build it with `--features {backend}`")]
    BackendNotBuilt {
        /// The backend that was asked for.
        backend: Backend,
    },
    /// No graphics adapter, or one that cannot be opened.
    #[error("the device wgpu cannot be used: {reason}")]
    NoAdapter {
        /// What the system says.
        reason: String,
    },
    /// A file or directory that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A text that is no shard.
    #[error("`{text}` is no shard; write I/N for the I-th of N, counted from 0, such as 0/8")]
    NotShard {
        /// The text as it was given.
        text: String,
    },
    /// An experiment that a job cannot do in parts.
    #[error(
        "the experiment `{experiment}` cannot be done in shards: it is no surgery, or replaces by a mean over the whole corpus"
    )]
    ExperimentNotInJob {
        /// The experiment.
        experiment: crate::Experiment,
    },
    /// A plan that a job cannot run in parts.
    #[error("the plan {plan} cannot be run in shards: it replaces by a mean over the whole corpus")]
    PlanNotInJob {
        /// The plan.
        plan: LayerPlan,
    },
    /// A plan of a job that this version cannot do.
    #[error("the plan cannot be done: {reason}")]
    JobImpossible {
        /// Why.
        reason: String,
    },
    /// A directory that holds a job already, or what one wrote.
    #[error("{} holds a job already", path.display())]
    JobExists {
        /// The directory.
        path: PathBuf,
    },
    /// A file of a job that is damaged, or not what its name says.
    #[error("{} is damaged: {reason}", path.display())]
    JobDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that belongs to another job.
    #[error("{} is of another {what}: {found}, and not {expected}", path.display())]
    OtherJob {
        /// The file or directory that is.
        path: PathBuf,
        /// Model, corpus, plan or version.
        what: &'static str,
        /// What it is of.
        found: String,
        /// What it should be of.
        expected: String,
    },
    /// Parquet is to be written by a build that cannot.
    #[error("Parquet is not part of this build; build it with `--features parquet`")]
    ParquetNotBuilt,
    /// Steps that no shard has done yet.
    #[error("{}: {status}", path.display())]
    JobUnfinished {
        /// The job.
        path: PathBuf,
        /// What is missing.
        status: crate::job::Status,
    },
    /// A text that is no size of memory.
    #[error("`{text}` is no size of memory; write 600MB, 4GB or 1.5GiB")]
    NotMemory {
        /// The text as it was given.
        text: String,
    },
    /// Less memory than the weights and the process itself take.
    #[error("{memory} of memory are too few: the model and the program take {needed} before anything is run")]
    MemoryTooSmall {
        /// What there is.
        memory: crate::Memory,
        /// What is taken.
        needed: crate::Memory,
    },
    /// A continuation of a benchmark's item whose log-probability is NaN or infinite.
    #[error(
        "the log-probability of continuation {continuation} of item {item} (both from 0) is {log_prob} under the plan {plan}"
    )]
    ItemNotFinite {
        /// The item, from 0.
        item: usize,
        /// The continuation of the item, from 0.
        continuation: usize,
        /// The layers that ran.
        plan: LayerPlan,
        /// What came out.
        log_prob: f64,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        Error::Io { path: path.to_owned(), reason }
    }
}
