//! Which figures a profile gives: [`figures`].

use stratigraph_stages::{Curve, Profile};

use super::{Figure, Panel, Point, Scale, Series};

/// A figure that is drawn when the profile has curves for it.
struct Plan {
    name: &'static str,
    /// The caption, up to the name of the model.
    shows: &'static str,
    x_label: &'static str,
    panels: &'static [Wanted],
}

/// A heading, what runs upwards and how, and the curves by their names in the legend and in the profile.
struct Wanted(&'static str, &'static str, Scale, &'static [(&'static str, &'static str)]);

const PLANS: [Plan; 5] = [
    Plan {
        name: "damage",
        shows: "What deleting a layer, or swapping it with the next, does to",
        x_label: "layer",
        panels: &[
            Wanted(
                "KL from the unchanged model",
                "KL, nats",
                Scale::Log,
                &[("delete", "delete_kl"), ("swap", "swap_kl")],
            ),
            Wanted(
                "The same first choice",
                "top-1 agreement",
                Scale::Linear,
                &[("delete", "delete_top1_agreement"), ("swap", "swap_top1_agreement")],
            ),
        ],
    },
    Plan {
        name: "lens",
        shows: "What the residual stream predicts before each layer of",
        x_label: "before layer",
        panels: &[
            Wanted("Logit lens: KL from the model", "KL, nats", Scale::Log, &[("lens", "lens_kl")]),
            Wanted("Logit lens: uncertainty", "entropy, bits", Scale::Linear, &[("lens", "lens_entropy_bits")]),
        ],
    },
    Plan {
        name: "attention",
        shows: "How far the heads of each layer look back in",
        x_label: "layer",
        panels: &[
            Wanted(
                "Attention to the token so many back",
                "mean weight",
                Scale::Log,
                &[
                    ("1", "attention_at_distance_1"),
                    ("2", "attention_at_distance_2"),
                    ("4", "attention_at_distance_4"),
                    ("8", "attention_at_distance_8"),
                    ("16", "attention_at_distance_16"),
                ],
            ),
            Wanted(
                "Where attention goes",
                "fraction",
                Scale::Linear,
                &[("last 5 tokens", "prev5_attention_mass"), ("first token", "first_token_attention")],
            ),
        ],
    },
    Plan {
        name: "geometry",
        shows: "How long the residual stream is, and how much each layer turns it, in",
        x_label: "layer",
        panels: &[
            Wanted(
                "Norms",
                "mean norm",
                Scale::Log,
                &[("residual", "resid_norm"), ("attention", "attn_out_norm"), ("MLP", "mlp_out_norm")],
            ),
            Wanted("Block influence", "1 - cosine", Scale::Log, &[("block", "block_influence")]),
        ],
    },
    Plan {
        name: "neurons",
        shows: "How many neurons of each layer write to few tokens, in",
        x_label: "layer",
        panels: &[
            Wanted(
                "Neurons with kurtosis over 10",
                "neurons",
                Scale::Linear,
                &[("prediction", "prediction_neurons"), ("suppression", "suppression_neurons")],
            ),
            Wanted("Mean kurtosis", "kurtosis", Scale::Linear, &[("all neurons", "mean_kurtosis")]),
        ],
    },
];

/// The figures whose curves the profile has, among `damage` (what deleting and swapping layers does), `lens` (what the
/// residual stream predicts before each layer), `attention`, `geometry` and `neurons`.
pub fn figures(profile: &Profile) -> Vec<Figure> {
    let (model, corpus) = (&profile.model.name, &profile.corpus);
    let on = format!("{model} on {} windows of {} tokens of {}", corpus.n_sequences, corpus.seq_len, corpus.name);
    let figure = |plan: &Plan| {
        let panels = plan.panels.iter().filter_map(|wanted| panel(profile, plan.x_label, wanted)).collect();
        Figure { name: plan.name, caption: format!("{} {on}", plan.shows), panels }
    };
    PLANS.iter().map(figure).filter(|figure| !figure.panels.is_empty()).collect()
}

/// A panel of those curves that are there; `None` when there are none.
fn panel(profile: &Profile, x_label: &'static str, wanted: &Wanted) -> Option<Panel> {
    let &Wanted(title, y_label, scale, curves) = wanted;
    let found = curves.iter().filter_map(|(name, curve)| Some(series(name, profile.curves.get(*curve)?)));
    let series: Vec<_> = found.collect();
    (!series.is_empty()).then_some(Panel { title, x_label, y_label, scale, series })
}

fn series(name: &'static str, curve: &Curve) -> Series {
    let point = |(layer, &y): (usize, &f64)| Point { x: layer as f64, y, sem: curve.sem.get(layer).copied().flatten() };
    Series { name, points: curve.mean.iter().enumerate().map(point).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stratigraph_stages::{CorpusRecord, ModelRecord};

    use super::*;

    #[test]
    fn figures_are_those_whose_curves_are_there() {
        let names = ["delete_kl", "lens_entropy_bits", "unheard_of"];
        let curve = Curve { mean: vec![1.0, 2.0], sem: vec![Some(0.5), None], replicates: Vec::new() };
        let profile = Profile {
            model: ModelRecord { name: "m".into(), n_layers: 2, d_model: 4, d_vocab: 8 },
            corpus: CorpusRecord { name: "c".into(), n_sequences: 3, seq_len: 5, special_tokens: false },
            device: "flex".into(),
            versions: BTreeMap::new(),
            command: Vec::new(),
            seed: 0,
            values: BTreeMap::new(),
            matrices: BTreeMap::new(),
            curves: names.into_iter().map(|name| (name.to_owned(), curve.clone())).collect(),
            stages: None,
        };
        let figures = figures(&profile);
        assert_eq!(figures.iter().map(|figure| figure.name).collect::<Vec<_>>(), ["damage", "lens"]);
        assert!(figures[0].caption.ends_with("m on 3 windows of 5 tokens of c"), "{}", figures[0].caption);
        let [panel] = &figures[1].panels[..] else { panic!("only the entropy is there") };
        assert_eq!(panel.series[0].points[0], Point { x: 0.0, y: 1.0, sem: Some(0.5) });
    }
}
