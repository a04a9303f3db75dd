//! A search in words: a [`SearchRecord`] prints as Markdown.

use std::fmt;

use stratigraph_profile::catalogue;
use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_surgery::search::{Comparison, Round, Stop, Validated, Verdict};

use super::SearchRecord;

impl fmt::Display for SearchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, corpus) = (&self.setup.model.name, &self.setup.corpus.name);
        writeln!(f, "# {} of {model} on {corpus}\n", self.quantity())?;
        writeln!(f, "{}\n", self.windows())?;
        let unit = self.setup.unit.title();
        writeln!(f, "| round | start | candidates | {unit} evaluated | compared on | best plan | its mean there |")?;
        f.write_str("|---|---|---|---|---|---|---|\n")?;
        let mut rounds = self.state.rounds.iter().enumerate();
        rounds.try_for_each(|(index, round)| write_round(f, index, round))?;
        writeln!(f, "\n{}\n", self.ending())?;
        match &self.validated {
            Some(validated) => self.write_validated(f, validated),
            None => f.write_str("It was not validated yet.\n"),
        }
    }
}

fn write_round(f: &mut fmt::Formatter<'_>, index: usize, round: &Round) -> fmt::Result {
    let Round { restart, n_candidates, evaluated, n_windows, best, mean, .. } = round;
    let best = best.to_string().replace('|', "\\|");
    writeln!(f, "| {index} | {restart} | {n_candidates} | {evaluated} | {n_windows} | `{best}` | {mean:.4} |")
}

impl SearchRecord {
    /// What the numbers are: `Loss (nll)`.
    fn quantity(&self) -> String {
        let name = &self.setup.objective;
        if self.setup.unit == ErrorUnit::Items && name.ends_with("_log_prob") {
            return format!("Log-probability of the right answer ({name})");
        }
        catalogue::find_metric(name).map_or_else(|| name.clone(), |metric| format!("{} ({name})", metric.title))
    }

    fn windows(&self) -> String {
        let (searched, held_out) = (self.state.windows.search.len(), self.state.windows.held_out.len());
        let (seq_len, unit) = (self.setup.corpus.seq_len, self.setup.unit.title());
        let of_tokens =
            if self.setup.unit == ErrorUnit::Items { String::new() } else { format!(" of {seq_len} tokens") };
        format!(
            "Searched on {searched} {unit}{of_tokens}, validated on {held_out} others. A mean of the table is the best of many \
             on the {unit} that chose it, and so too good; what counts is the validation."
        )
    }

    fn ending(&self) -> String {
        let state = &self.state;
        let why = match state.stop {
            Some(Stop::Finished) => "All changes were made",
            Some(Stop::NoImprovement) => "No further change was better",
            Some(Stop::Budget) => "The budget did not allow another round",
            _ => "The search has not ended",
        };
        format!(
            "{why}: {} plans tried, {} {} evaluated. Best plan: `{}`",
            state.n_tried,
            state.evaluated,
            self.setup.unit.title(),
            state.best()
        )
    }

    fn write_validated(&self, f: &mut fmt::Formatter<'_>, validated: &Validated) -> fmt::Result {
        let Validated { n_windows, errors, mean, comparisons, .. } = validated;
        let (over, n, df, unit) = (errors.over.title(), errors.n, errors.df, self.setup.unit.title());
        writeln!(f, "## Validation\n")?;
        writeln!(
            f,
            "On the {n_windows} {unit} that the search has not seen the best plan has a mean of {mean:.4}. Differences are paired \
             by {}; errors are over {n} {over}, with {df} degrees of freedom.\n",
            unit.trim_end_matches('s')
        )?;
        f.write_str("| compared with | its mean | difference | 95 % interval | p | p corrected | |\n|---|---|---|---|---|---|---|\n")?;
        for it in comparisons {
            let [low, high] = it.interval;
            let with = it.with.to_string().replace('|', "\\|");
            let numbers = format!("{:.4} | {:+.4} | {low:+.4} to {high:+.4}", it.other, it.difference);
            writeln!(f, "| `{with}` | {numbers} | {} | {} | {} |", P(it.p), P(it.p_corrected), self.verdict(it))?;
        }
        Ok(())
    }

    fn verdict(&self, comparison: &Comparison) -> String {
        match comparison.verdict {
            Verdict::Better => "better".to_owned(),
            Verdict::BetterUncorrected => format!(
                "better by its interval, but within noise after the correction for {} plans tried: more {} may settle it",
                self.state.n_tried,
                self.setup.unit.title()
            ),
            _ if comparison.with == *self.state.best() => "the same plan".to_owned(),
            Verdict::WithinNoise => "within noise: no difference is shown".to_owned(),
            Verdict::Worse => "worse".to_owned(),
            _ => "unknown".to_owned(),
        }
    }
}

/// A p-value.
struct P(f64);

impl fmt::Display for P {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1e-4 { f.write_str("< 0.0001") } else { write!(f, "{:.4}", self.0) }
    }
}
