//! A job's numbers as Parquet tables.

use std::collections::BTreeMap;

use stratigraph_probes::scores::{PositionRow, PositionScores};
use stratigraph_report::{ParquetColumn, ParquetTable};
use stratigraph_surgery::LayerPlan;

use super::{Job, Merged};

/// What was done, for a row: intervention, layer and plan.
type Done = (String, Option<usize>, String);

/// Rows of what was done, of whole numbers, and of metrics, as they come.
#[derive(Default)]
struct Rows<'a> {
    done: Vec<&'a Done>,
    places: Vec<Vec<i64>>,
    /// Of each row, in the order of the job's metrics.
    metrics: Vec<Vec<Option<f64>>>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, done: &'a Done, places: Vec<i64>, metrics: Vec<Option<f64>>) {
        self.done.push(done);
        self.places.push(places);
        self.metrics.push(metrics);
    }

    /// A column for each part of it; `places` names the whole numbers, `metrics` the metrics.
    fn table(
        &self,
        places: &[&str],
        metrics: &[String],
        metric: fn(Vec<Option<f64>>) -> ParquetColumn<'static>,
    ) -> Vec<u8> {
        let layer = |done: &&Done| done.1.map(|layer| layer as i64);
        let mut columns = vec![
            ("intervention".to_owned(), ParquetColumn::Text(self.done.iter().map(|done| done.0.as_str()).collect())),
            ("layer".to_owned(), ParquetColumn::Whole(self.done.iter().map(layer).collect())),
            ("plan".to_owned(), ParquetColumn::Text(self.done.iter().map(|done| done.2.as_str()).collect())),
        ];
        columns.extend(places.iter().enumerate().map(|(index, name)| {
            let values = self.places.iter().map(|places| Some(places[index])).collect();
            ((*name).to_owned(), ParquetColumn::Whole(values))
        }));
        columns.extend(
            metrics
                .iter()
                .enumerate()
                .map(|(index, name)| (name.clone(), metric(self.metrics.iter().map(|values| values[index]).collect()))),
        );
        ParquetTable::new(columns).to_bytes()
    }
}

/// Each run of a job with its plan; a plan may be run for several things.
fn named(job: &Job) -> Vec<(Done, LayerPlan)> {
    let runs = job.plan().runs();
    runs.named().map(|(name, layer, plan)| ((name, layer, plan.to_string()), plan.clone())).collect()
}

/// A row for each intervention and token of a step.
pub(crate) fn of_tokens(job: &Job, measured: &BTreeMap<&LayerPlan, &PositionScores>) -> Vec<u8> {
    let named = named(job);
    let mut rows = Rows::default();
    for (done, positions) in named.iter().filter_map(|(done, plan)| Some((done, measured.get(plan)?))) {
        for PositionRow { sequence, position, values } in positions.rows() {
            let token = job.windows().sequence(sequence)[position];
            rows.push(done, vec![sequence as i64, position as i64, i64::from(token)], values.to_vec());
        }
    }
    let single = |values: Vec<Option<f64>>| {
        ParquetColumn::Single(values.into_iter().map(|value| value.map(|value| value as f32)).collect())
    };
    rows.table(&["sequence", "position", "token"], &job.plan().metrics, single)
}

impl Merged {
    /// A Parquet file with a row for each intervention and window: `intervention`, `layer`, `plan`, `sequence`, and the mean
    /// of each metric over the window's positions.
    pub fn to_parquet(&self, job: &Job) -> Vec<u8> {
        let named = named(job);
        let mut rows = Rows::default();
        for (done, plan) in &named {
            let means: Vec<_> = self.scores[plan].iter().map(|(_, measured)| measured.means()).collect();
            (0..job.windows().n_sequences()).for_each(|sequence| {
                rows.push(done, vec![sequence as i64], means.iter().map(|means| Some(means[sequence])).collect());
            });
        }
        rows.table(&["sequence"], &job.plan().metrics, ParquetColumn::Double)
    }
}
