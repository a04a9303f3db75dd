//! Searches over layer plans on a model: [`ModelObjective`], a metric on a corpus, and [`TaskObjective`], a benchmark, are what a
//! [`Search`](stratigraph_surgery::search::Search) optimises, [`SearchRun`] a search that continues
//! after it is killed, and that runs in shards.

mod clean;
mod objective;
mod record;
mod run;
mod shards;
mod task;
mod text;

pub use objective::ModelObjective;
pub use record::{SearchRecord, SearchSetup};
pub use run::SearchRun;
pub use task::{TaskMeasure, TaskObjective};
