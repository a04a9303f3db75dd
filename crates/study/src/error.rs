//! What can go wrong in a study, a task run or a job: [`StudyError`].

use std::path::{Path, PathBuf};

use stratigraph_core::shown;

use crate::{DeviceError, Memory};

/// Characters that are shown of a reason, which may quote the file.
const REASON: usize = 600;

/// The result of an operation of this crate.
pub type Result<T, E = StudyError> = std::result::Result<T, E>;

/// An error of `stratigraph-study`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A model, a corpus or an edit that do not fit each other.
    #[error(transparent)]
    Core(#[from] stratigraph_core::CoreError),
    /// An intervention or a sweep that cannot be run.
    #[error(transparent)]
    Surgery(#[from] stratigraph_surgery::SurgeryError),
    /// A metric or a probe that failed.
    #[error(transparent)]
    Probe(#[from] stratigraph_probes::ProbeError),
    /// A benchmark that cannot be scored.
    #[error(transparent)]
    Task(#[from] stratigraph_tasks::TaskError),
    /// A curve or a matrix that does not fit its axes, or a name that the findings do not have.
    #[error(transparent)]
    Profile(#[from] stratigraph_profile::ProfileError),
    /// A device that cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),

    /// A measurement that cannot be made with this model or corpus.
    #[error("cannot measure {name}: {reason}")]
    CannotMeasure {
        /// The measurement.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// A name that is not a built-in measurement's.
    #[error("unknown measurement `{}`; known: {known}", shown(name))]
    UnknownMeasurement {
        /// The name as it was given.
        name: String,
        /// The names that are known, with commas between.
        known: String,
    },
    /// Two things of the same kind with the same name.
    #[error("there is already a {what} named `{name}`; give the other one another name")]
    NameTaken {
        /// `measurement`, `sweep`, `curve` and so on.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A number of the findings that is NaN or infinite.
    #[error(
        "the {what} `{name}` is {value} at {at}: activations or weights left the range of f32, or what it is computed from \
         has no value there"
    )]
    NotFinite {
        /// `curve`, `matrix` or `value`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The point of its axis, or the row and the column.
        at: String,
        /// The number.
        value: f64,
    },
    /// A sweep whose results are neither curves nor matrices.
    #[error("the sweep {sweep} has {n_axes} axes; a curve has one axis and a matrix two")]
    TooManyAxes {
        /// The sweep.
        sweep: String,
        /// How many axes it has.
        n_axes: usize,
    },
    /// Parts of a corpus in which different things were measured.
    #[error("parts of the corpus differ in what was measured: `{name}` is in one of them alone, or over another axis")]
    OtherMeasures {
        /// The curve, matrix or value.
        name: String,
    },
    /// Two curves that cannot be paired.
    #[error("a paired difference takes two curves over one axis, of the same windows; these differ in axis or windows")]
    NotPaired,
    /// A model on another device that is not the same model.
    #[error(
        "the models on the devices differ: layers, d_model and d_vocab are {found:?} on one and {expected:?} on the first; \
         load the same checkpoint on every device"
    )]
    OtherReplica {
        /// Layers, width and vocabulary of the first model.
        expected: [usize; 3],
        /// Those of the other one.
        found: [usize; 3],
    },

    /// A measurement over pairs of prompts without a pair.
    #[error("there are no pairs of prompts; give at least one")]
    NoPairs,
    /// A pair of prompts that a model cannot run, or whose activations do not correspond.
    #[error("{pair} cannot be used: {reason}")]
    UnfitPair {
        /// Where the pair is, and its clean prompt.
        pair: String,
        /// Why.
        reason: String,
    },
    /// Pairs of prompts of which a model can use none.
    #[error("none of the {n_pairs} pairs of prompts can be used; the first one: {first}")]
    NoPairFits {
        /// How many there are.
        n_pairs: usize,
        /// What is wrong with the first.
        first: Box<StudyError>,
    },

    /// A benchmark that cannot be run under an intervention.
    #[error("cannot score tasks under {name}: {reason}")]
    CannotScore {
        /// The intervention.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A continuation of a benchmark's item whose log-probability is NaN or infinite.
    #[error(
        "the log-probability of continuation {continuation} of item {item} (both counted from 0) is {log_prob} under \
         {intervention}"
    )]
    ItemNotFinite {
        /// The item, from 0.
        item: usize,
        /// The continuation of the item, from 0.
        continuation: usize,
        /// The intervention's name.
        intervention: String,
        /// The value.
        log_prob: f64,
    },

    /// A text that is not a size of memory.
    #[error("`{}` is not a size of memory; write it like 600MB, 4GB or 1.5GiB", shown(text))]
    NotMemory {
        /// The text as it was given.
        text: String,
    },
    /// Less memory than the weights and the process itself take.
    #[error(
        "a limit of {memory} is too low: the weights and the program take {needed} before anything runs; allow more memory, \
         or stream the weights from disk"
    )]
    MemoryTooSmall {
        /// The limit.
        memory: Memory,
        /// Bytes that are in use already.
        needed: Memory,
    },

    /// A file or directory that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A text that is not a shard.
    #[error("`{}` is not a shard; write I/N for the I-th of N shards, counted from 0, such as 0/8", shown(text))]
    NotShard {
        /// The text as it was given.
        text: String,
    },
    /// A sweep, an intervention or a metric that a job cannot do in shards.
    #[error("cannot shard {name}: {reason}")]
    CannotShard {
        /// Its name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A job plan that is not valid.
    #[error("the job plan is not valid: {reason}")]
    BadJobPlan {
        /// What is wrong with it.
        reason: String,
    },
    /// A directory that already holds a job.
    #[error("{} already holds a job; choose another directory", path.display())]
    JobExists {
        /// The directory.
        path: PathBuf,
    },
    /// A directory for a new job that holds something else.
    #[error("{} holds {name}, which is no job's; choose a new directory", path.display())]
    NotAJob {
        /// The directory.
        path: PathBuf,
        /// What it holds.
        name: String,
    },
    /// A job in another format of files.
    #[error(
        "{} has format {found}, and this version reads format {expected}; finish and merge the job with the version that \
         planned it, or plan it again", path.display()
    )]
    JobFormat {
        /// The plan file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that can be read.
        expected: u64,
    },
    /// A file of a job that is damaged, or not what its name says.
    #[error("{} is damaged: {}", path.display(), shown(reason).within(REASON))]
    JobDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that belongs to another job.
    #[error("{} is of another {what}: {found}, not {expected}", path.display())]
    OtherJob {
        /// The file or directory.
        path: PathBuf,
        /// `model`, `corpus`, `plan` or `version`.
        what: &'static str,
        /// What it is of.
        found: String,
        /// What it should be of.
        expected: String,
    },
    /// Steps that no shard has done yet.
    #[error("{}: {status}", path.display())]
    JobUnfinished {
        /// The job.
        path: PathBuf,
        /// The missing steps.
        status: crate::job::Status,
    },
    /// Parquet files are asked for from a build that cannot write them.
    #[error("Parquet is not part of this build; build with `--features parquet`")]
    ParquetNotBuilt,
}

impl StudyError {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        StudyError::Io { path: path.to_owned(), reason }
    }
}
