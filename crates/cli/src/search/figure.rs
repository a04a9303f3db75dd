//! A search as a picture: [`figure`], the best plan of each round, and what validation says of the last.

use stratigraph_profile::{Axis, Scale, catalogue};
use stratigraph_report::figure::{Figure, Horizontal, Lines, Panel, Point, Reference, Series, Side};
use stratigraph_study::search::SearchRecord;
use stratigraph_surgery::search::Round;

/// Up to this many starts differ in colour and dash.
const MOST_STARTS: usize = 12;

/// The mean of the best plan after each round, a line for each start, with the means of validation as level lines.
pub fn figure(record: &SearchRecord) -> Figure {
    let objective = &record.setup.objective;
    let entry = catalogue::find_metric(objective);
    let label = entry.as_ref().map_or_else(|| objective.clone(), |metric| format!("{}, {}", metric.label, metric.unit));
    let title = entry.map_or_else(|| objective.clone(), |metric| metric.title);
    let restarts = record.state.rounds.iter().map(|round| round.restart).max().unwrap_or(0) + 1;
    let of =
        |restart: usize| record.state.rounds.iter().filter(move |round| round.restart == restart).collect::<Vec<_>>();
    let name = |restart: usize| if restarts == 1 { "best plan".to_owned() } else { format!("start {restart}") };
    let lines = (0..restarts.min(MOST_STARTS)).map(|restart| series(name(restart), &of(restart)));
    let side = lines.fold(Side::new(label, Scale::Fitted), Side::with_series);
    let side = references(record).into_iter().fold(side, Side::with_reference);
    let longest = (0..restarts).map(|restart| of(restart).len()).max().unwrap_or(0);
    let x = Horizontal::from_axis(&Axis::counting("round", longest));
    let unit = record.setup.unit.title();
    let left_out = match restarts.saturating_sub(MOST_STARTS) {
        0 => String::new(),
        n => format!(" The last {n} of {restarts} starts are left out."),
    };
    let caption = format!(
        "The mean of the best plan of each round on the {unit} that chose it, which is too good, and the means on {unit} that the \
         search has not seen.{left_out}"
    );
    let source = format!("{} on {}", record.setup.model.name, record.setup.corpus.name);
    let figure = Figure::new("search", "Search over plans").with_caption(caption).with_source(source);
    figure.with_panel(Panel::Lines(Lines::new(title, x, side)))
}

fn series(name: String, rounds: &[&Round]) -> Series {
    let point = |(at, round): (usize, &&Round)| Point::new(at as f64, round.best.to_string(), round.mean);
    Series::new(name, rounds.iter().enumerate().map(point).collect())
}

/// The means on the windows or items that were held out.
fn references(record: &SearchRecord) -> Vec<Reference> {
    let unit = record.setup.unit.title();
    let Some(validated) = &record.validated else { return Vec::new() };
    let first = validated.comparisons.first().map(|it| Reference::new(format!("first plan, unseen {unit}"), it.other));
    let best = Reference::new(format!("best plan, unseen {unit}"), validated.mean);
    first.into_iter().chain([best]).collect()
}
