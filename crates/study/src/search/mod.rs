//! Searches over layer plans on a model and a corpus: [`ModelObjective`] is what a
//! [`Search`](stratigraph_surgery::search::Search) optimises, [`SearchRun`] one that survives being killed.

mod objective;
mod record;
mod run;
mod text;

pub use objective::ModelObjective;
pub use record::{SearchRecord, SearchSetup};
pub use run::SearchRun;
