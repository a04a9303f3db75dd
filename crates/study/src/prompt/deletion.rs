//! What the deletion of each layer does after each token of a prompt: [`grid`].

use stratigraph_probes::metrics::{Kl, Loss, Metrics};
use stratigraph_probes::scores::PositionScores;
use stratigraph_profile::prompt::DeletionGrid;
use stratigraph_surgery::{Intervention, Sweep, SweepContext};

use super::PromptStudy;
use crate::Result;
use crate::scoring::{ReadoutOptions, Scoring};

/// One sweep over the prompt's window, as `delete_kl` and `delete_nll` of a study.
pub(super) fn grid(study: &PromptStudy) -> Result<DeletionGrid> {
    let (model, prompt) = (study.model, &study.prompt);
    let (shape, seq_len) = (model.shape(), prompt.seq_len());
    let points = Sweep::delete().points(&SweepContext::new(shape, seq_len))?;
    let n_layers = points.interventions.len();
    let options = ReadoutOptions::new(Metrics::new().with(Kl)?.with(Loss)?, study.budget);
    let scoring = Scoring::new(points.interventions, &Intervention::none(n_layers), prompt, options);
    let scores = scoring.on(model, 1)?.score(0..1, PositionScores::default, &mut |_| {})?;
    let values = |scores: &PositionScores, metric: usize| -> Vec<f64> {
        scores.rows().filter_map(|row| row.values[metric]).collect()
    };
    let clean = values(&scores[n_layers], 1); // it is added after the deletions
    let change =
        |scores: &PositionScores| values(scores, 1).iter().zip(&clean).map(|(nll, clean)| nll - clean).collect();
    let kl = scores[..n_layers].iter().map(|scores| values(scores, 0)).collect();
    Ok(DeletionGrid::new(kl, scores[..n_layers].iter().map(change).collect()))
}
