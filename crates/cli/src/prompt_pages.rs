//! Pages of single windows beside the report of a study: [`PromptPageArgs`].

use std::sync::Arc;

use anyhow::Result;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_probes::lens::Lens;
use stratigraph_profile::{Curve, Profile};
use stratigraph_report::{OutDir, PromptLink, PromptPage};
use stratigraph_study::PromptStudy;
use stratigraph_surgery::Budget;

use crate::lens::GivenLenses;
use crate::output;

/// The curves by which windows are chosen, the first that was measured.
const CURVES: [&str; 2] = ["delete_kl", "delete_after_first_kl"];
/// Pages of each kind by default.
const USUAL: usize = 1;

/// How many pages.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct PromptPageArgs {
    /// With --out: pages of the N windows where deletion hurts most, and of the N where it hurts least [default: 1]
    ///
    /// A page deletes each layer once on its window, reads every residual position, and is a few megabytes large. Windows of more
    /// than 256 tokens have none.
    #[arg(long, value_name = "N", requires = "out")]
    prompt_pages: Option<usize>,
}

/// What pages are made of.
pub struct PageSetup<'a> {
    pub model: &'a dyn ResidualModel,
    pub checkpoint: &'a Checkpoint,
    pub tokenizer: &'a Tokenizer,
    pub windows: &'a TokenWindows,
    pub lenses: &'a GivenLenses,
    pub budget: Budget,
}

/// A window, and how much the deletion of a layer costs there.
struct Chosen {
    window: usize,
    kl: f64,
    what: &'static str,
}

impl PromptPageArgs {
    /// Writes the pages, and returns links to them. Pages that cannot be made are reported, and the study's results stay as they are.
    pub fn write(&self, setup: &PageSetup, profile: &Profile, out: &OutDir) -> Vec<PromptLink> {
        let n = self.prompt_pages.unwrap_or(USUAL);
        let seq_len = setup.windows.seq_len();
        let measured = CURVES.into_iter().find_map(|name| Some((name, profile.curves.get(name)?)));
        let reason = match measured {
            Some(_) if seq_len > PromptStudy::LONGEST => {
                format!("they take windows of at most {} tokens, and these have {seq_len}", PromptStudy::LONGEST)
            }
            Some((name, curve)) => return setup.pages(&chosen(curve, n), (name, profile), out),
            None => {
                let curves = CURVES.join(" or ");
                format!(
                    "they are chosen by {curves}; add delete to --experiments, and kl to --metrics if they are given"
                )
            }
        };
        if self.prompt_pages.is_some_and(|n| n > 0) {
            output::skipped("pages of windows", reason);
        }
        Vec::new()
    }
}

/// The windows where the median over layers of the divergence is largest, and those where it is smallest.
fn chosen(curve: &Curve, n: usize) -> Vec<Chosen> {
    let n_windows = curve.replicates.first().map_or(0, Vec::len);
    let median = |window: usize| {
        let mut layers: Vec<f64> = curve.replicates.iter().filter_map(|layer| layer.get(window).copied()).collect();
        layers.sort_by(f64::total_cmp);
        (layers[(layers.len() - 1) / 2] + layers[layers.len() / 2]) / 2.0
    };
    let mut windows: Vec<(usize, f64)> = (0..n_windows).map(|window| (window, median(window))).collect();
    windows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = n.min(windows.len());
    let least = n.min(windows.len() - most);
    let named = |what| move |&(window, kl): &(usize, f64)| Chosen { window, kl, what };
    let last = windows[windows.len() - least..].iter().rev().map(named("least"));
    windows[..most].iter().map(named("most")).chain(last).collect()
}

impl PageSetup<'_> {
    fn pages(&self, chosen: &[Chosen], of: (&str, &Profile), out: &OutDir) -> Vec<PromptLink> {
        let lenses = match self.lenses.open(self.checkpoint, self.model) {
            Ok(lenses) => lenses.into_iter().map(|lens| Arc::new(lens) as Arc<dyn Lens>).collect::<Vec<_>>(),
            Err(reason) => {
                output::skipped("pages of windows", format_args!("{reason:#}"));
                return Vec::new();
            }
        };
        let page = |it: &Chosen| match self.page(it, &lenses, of, out) {
            Ok(link) => Some(link),
            Err(reason) => {
                output::skipped(format_args!("the page of window {}", it.window), format_args!("{reason:#}"));
                None
            }
        };
        chosen.iter().filter_map(page).collect()
    }

    fn page(
        &self,
        it: &Chosen,
        lenses: &[Arc<dyn Lens>],
        (curve, profile): (&str, &Profile),
        out: &OutDir,
    ) -> Result<PromptLink> {
        let Chosen { window, kl, what } = it;
        let prompt = self.windows.select([*window]);
        let study = PromptStudy::new(self.model, &prompt)?.with_budget(self.budget).with_name(&profile.model.name);
        let study = lenses.iter().cloned().fold(study, PromptStudy::with_lens);
        let reading = study.with_texts(|id| self.tokenizer.token_text(id).unwrap_or_default()).read()?;
        let reading = reading.with_source(format!("window {window} of {}", profile.corpus.name));
        let reading = reading.with_record(&profile.device, output::command());
        let name = format!("prompts/window-{window}");
        PromptPage::new(&reading).write_to(out, &name)?;
        let remark = format!("deletion hurts {what} here: the median over layers of {curve} is {kl:.3} nats");
        Ok(PromptLink::new(format!("{name}.html"), format!("window {window}"), remark))
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, ReplicateUnit, Unit};

    use super::*;

    #[test]
    fn the_windows_at_both_ends_are_chosen_once_each() {
        let replicates = vec![vec![9.0, 1.0, 5.0], vec![2.0, 3.0, 1.0], vec![4.0, 0.5, 2.0]];
        let curve = Curve::new(Axis::layers(3), Unit::Nats, vec![0.0; 3]);
        let curve = curve.with_replicates(ReplicateUnit::Windows, replicates);
        let windows = |n| chosen(&curve, n).iter().map(|it| (it.window, it.what)).collect::<Vec<_>>();
        assert_eq!(windows(1), [(0, "most"), (1, "least")]);
        assert_eq!(windows(2), [(0, "most"), (2, "most"), (1, "least")]);
        assert_eq!(windows(9), [(0, "most"), (2, "most"), (1, "most")]);
        let even = vec![vec![0.0, 4.0], vec![5.0, 4.0]];
        let curve = Curve::new(Axis::layers(2), Unit::Nats, vec![0.0; 2]);
        let of_two_layers = chosen(&curve.with_replicates(ReplicateUnit::Windows, even), 1);
        assert_eq!(of_two_layers.iter().map(|it| (it.window, it.kl)).collect::<Vec<_>>(), [(1, 4.0), (0, 2.5)]);
        assert!(windows(0).is_empty() && chosen(&Curve::new(Axis::layers(0), Unit::Nats, vec![]), 2).is_empty());
    }
}
