//! The values of a job as Parquet tables, a row for each intervention and window or token.

mod table;

use stratigraph_probes::scores::{PositionRow, PositionScores};
use table::{ParquetColumn, ParquetTable};

use super::{Job, Merged};
use crate::runs::Run;

/// How a row names its intervention, as in a profile.
struct Label {
    sweep: Option<String>,
    /// Which point of the sweep.
    index: Option<usize>,
    name: String,
    text: String,
}

impl Label {
    fn new(run: &Run) -> Self {
        Self {
            sweep: run.point.map(|(sweep, _)| sweep.name.clone()),
            index: run.point.map(|(_, index)| index),
            name: run.intervention.name(),
            text: run.intervention.to_string(),
        }
    }
}

/// A row of a table.
struct Row<'a> {
    label: &'a Label,
    /// Window, and position and token in tables of tokens.
    place: Vec<usize>,
    /// In the order of the job's metrics.
    metrics: Vec<Option<f64>>,
}

/// The columns of some rows: the label, the names of the place, and the metrics as `metric` makes them.
fn table(
    rows: &[Row],
    place: &[&str],
    metrics: &[String],
    metric: fn(Vec<Option<f64>>) -> ParquetColumn<'static>,
) -> Vec<u8> {
    let text = |text: fn(&Label) -> Option<&str>| ParquetColumn::Text(rows.iter().map(|row| text(row.label)).collect());
    let whole = |number: &dyn Fn(&Row) -> Option<usize>| {
        ParquetColumn::Whole(rows.iter().map(|row| number(row).map(|number| number as i64)).collect())
    };
    let mut columns = vec![
        ("sweep".to_owned(), text(|label| label.sweep.as_deref())),
        ("index".to_owned(), whole(&|row| row.label.index)),
        ("name".to_owned(), text(|label| Some(&label.name))),
        ("text".to_owned(), text(|label| Some(&label.text))),
    ];
    let place = place.iter().enumerate();
    columns.extend(place.map(|(nth, name)| ((*name).to_owned(), whole(&|row| Some(row.place[nth])))));
    let metrics = metrics.iter().enumerate();
    columns.extend(metrics.map(|(nth, name)| {
        let values = rows.iter().map(|row| row.metrics[nth]).collect();
        (name.clone(), metric(values))
    }));
    ParquetTable::new(columns).to_bytes()
}

/// A row for each intervention and token of a step; `measured` is of each intervention of the step's group.
pub(crate) fn token_table(job: &Job, group: usize, measured: &[&PositionScores]) -> Vec<u8> {
    let first = job.groups().take(group).map(<[_]>::len).sum::<usize>();
    let measured_of = |run: &Run| measured.get(run.index.checked_sub(first)?).copied();
    let labelled: Vec<_> = job.runs().iter().filter_map(|run| Some((Label::new(&run), measured_of(&run)?))).collect();
    let rows = labelled.iter().flat_map(|(label, positions)| {
        positions.rows().map(move |PositionRow { sequence, position, values }| {
            let token = job.windows().sequence(sequence)[position] as usize;
            Row { label, place: vec![sequence, position, token], metrics: values.to_vec() }
        })
    });
    let single = |values: Vec<Option<f64>>| {
        ParquetColumn::Single(values.into_iter().map(|value| value.map(|value| value as f32)).collect())
    };
    table(&rows.collect::<Vec<_>>(), &["sequence", "position", "token"], &job.plan().metrics, single)
}

impl Merged {
    /// A Parquet file with a row for each intervention and window: `sweep` and `index` (the point of the sweep; both
    /// empty for the unchanged model and single interventions), `name` and `text` of the intervention, `sequence`, and
    /// the mean of each metric over the window's positions, empty where the metric has no value.
    pub fn to_parquet(&self, job: &Job) -> Vec<u8> {
        let labelled: Vec<_> = job.runs().iter().map(|run| (Label::new(&run), run.index)).collect();
        let mut rows = Vec::new();
        for (label, index) in &labelled {
            let means: Vec<_> = self.scores[*index].iter().map(|(_, measured)| measured.means()).collect();
            rows.extend((0..job.windows().n_sequences()).map(|sequence| {
                let metrics = means.iter().map(|means| means.get(sequence).copied()).collect();
                Row { label, place: vec![sequence], metrics }
            }));
        }
        table(&rows, &["sequence"], &job.plan().metrics, ParquetColumn::Double)
    }
}
