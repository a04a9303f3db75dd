//! Every weight and threshold of the segmentation, each with its reason: [`Rule`] and its [`Weights`].

use serde::{Deserialize, Serialize};
use stratigraph_profile::Segmentation;

use crate::{Result, StagesError};

/// How curves become stages. Nothing here knows a model's name, depth or size; every threshold is in units of the
/// model's own curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Rule {
    /// The weight of each kind of evidence.
    pub weights: Weights,
    /// How many robust standard deviations from the model's own median a layer is neither ordinary nor special. 2.5 is the
    /// usual cut for a median absolute deviation (Leys et al., *J. Exp. Soc. Psychol.* 49, 2013).
    pub stands_out: f64,
    /// From how many on it is special without doubt, and, inside a robust stretch, an outlier: Iglewicz and Hoaglin's 3.5
    /// (1993); median and spread are taken without such layers. As far below [`Rule::stands_out`], at 1.5, it is ordinary
    /// without doubt; an even drift reaches 1.35 at most, so it makes no special layer.
    pub outlier: f64,
    /// How often a layer of a stage shows what defines the stage: 0.9, with one exception in ten, and one in ten in stages
    /// that it has nothing to do with. What only goes along with a stage is shown by half of its layers.
    pub always: f64,
    /// The least spread a curve on a log scale is given, as a ratio: 1.2. Layers that differ by a fifth are of one kind,
    /// however even all others are; with [`Rule::stands_out`] a special layer does 1.6 times what an ordinary one does.
    pub least_ratio: f64,
    /// The least spread of mean kurtosis: 0.02, what one neuron in 350 with a kurtosis of 10 adds to normal ones.
    pub least_kurtosis_spread: f64,
    /// The least spread of an accuracy: 0.02, its sampling error on 600 pairs.
    pub least_accuracy_spread: f64,
    /// The least spread of a difference of two damages: 0.02 nats, a tenth of what the median layer of the models in
    /// `docs/stages.md` costs.
    pub least_damage_spread: f64,
    /// From which share of what a model knows beyond the frequencies of tokens, `unigram_loss - clean_nll`, a removal costs
    /// something: a tenth. A layer whose deletion costs half of that or less can be removed, however little others cost.
    pub floor_share: f64,
    /// What one more stage must bring, in units of `ln L` nats: 1, the description length of where its boundary lies among `L`
    /// layers, which is the Bayesian information criterion's price for it.
    pub stage_price: f64,
    /// The part of that price which a boundary must still bring without any one group of signals: a half. No boundary may
    /// rest on one group alone.
    pub alone: f64,
    /// Orders of the layers that the segmentation is compared with.
    pub permutations: usize,
    /// The largest share of those orders, the true one among them, that may gain as much from stages as the true one does:
    /// 0.05, which is an upper bound for the rate of false stages in layers of random order.
    pub significance: f64,
    /// The same with any one group of signals left out: 0.1, since less evidence is left. A single curve that
    /// wanders fits stages in the true order better than in any other, and is no structure.
    pub significance_alone: f64,
    /// By how many nats the evidence of a group of signals must turn, from a layer of the earlier stage to one of the later
    /// stage, for the boundary to rest on the group: `ln 2`, odds that double.
    pub least_contrast: f64,
    /// From how many layers, from 10 to 90 % of the change, a curve is smooth: 3, so that a change with one layer in between is
    /// still a step. A step is compared with curves of this width and more.
    pub smooth_width: f64,
    /// Resamples of windows or documents.
    pub resamples: usize,
    /// What share of the resamples an interval holds.
    pub coverage: f64,
    /// The share of the resamples that must have a boundary for it to be supported. With less than half it is not drawn.
    pub least_support: f64,
    /// The share of the rules of the multiverse that must have a boundary for it to be supported: a majority.
    pub least_rules: f64,
    /// Whether the rules of the multiverse are tried: every setting of [`stands_out`](Rule::stands_out),
    /// [`always`](Rule::always), [`stage_price`](Rule::stage_price) and [`least_ratio`](Rule::least_ratio) one notch down, as it
    /// is, and one notch up, with each metric of the lens alone.
    pub multiverse: bool,
    /// Whether a model must predict its text better, by two standard errors, than a unigram model to have stages of inference;
    /// where the loss of a unigram model is not known, better than a uniform guess over its vocabulary.
    pub must_predict: bool,
    /// The seed of orders and draws.
    pub seed: u64,
}

/// The weight of each kind of evidence: what part of its log likelihood counts.
///
/// The curves of one kind are averaged first, so that a measurement does not count more for being reported in more ways.
/// How far a measurement decides between two stages is in the frequencies that the stages are expected to show it with;
/// weights are 1, except for a measurement that repeats another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Weights {
    /// What deleting the layer does: the paper defines the first and the last stage by it.
    #[serde(alias = "deletion")]
    pub removal: f64,
    /// What swapping it with its neighbours does. One half: each number is of two layers, and the effect of a swap is
    /// partly that of deleting one of the two.
    pub swap: f64,
    /// How local its attention is, the first position left out.
    pub locality: f64,
    /// How much more it costs to knock out attention within words than across words.
    pub words: f64,
    /// How much more deleting it costs at the ends of words of several tokens than at single tokens.
    pub lexical: f64,
    /// How far words still lack their meaning in context (Word-in-Context accuracy).
    pub meaning: f64,
    /// How much of the way to the output the lens goes in this layer: the paper defines prediction ensembling by it.
    pub convergence: f64,
    /// Prediction neurons, and kurtosis of what neurons say to the vocabulary.
    pub vocabulary: f64,
    /// Suppression neurons.
    pub suppression: f64,
    /// How much the layer rewrites the residual stream (block influence, 1 - CKA).
    #[serde(alias = "rewriting")]
    pub geometry: f64,
    /// How much attention and MLP write, relative to the residual stream before the layer.
    #[serde(alias = "mlp_write")]
    pub write: f64,
}

impl Rule {
    /// The default with another seed of orders and draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The rule by which a segmentation was made. Settings that it does not have are those of the default.
    ///
    /// # Errors
    /// When its settings are not those of a rule, or cannot be used.
    pub fn from_segmentation(segmentation: &Segmentation) -> Result<Self> {
        let rule: Self = serde_json::from_value(segmentation.rule.clone())?;
        rule.check()?;
        Ok(rule)
    }

    /// Refuses settings that cannot be used.
    ///
    /// # Errors
    /// When [`outlier`](Rule::outlier) is not above [`stands_out`](Rule::stands_out), or [`always`](Rule::always) is not between 0
    /// and 1.
    pub fn check(&self) -> Result<()> {
        let Self { stands_out, outlier, always, .. } = self;
        let (is_above, is_between) = (outlier > stands_out, 0.0 < *always && *always < 1.0);
        let reason = match (is_above, is_between) {
            (true, true) => return Ok(()),
            (false, _) => format!("outlier is {outlier}; give a number above stands_out, {stands_out}"),
            (_, false) => format!("always is {always}; give a number between 0 and 1"),
        };
        Err(StagesError::BadRule { reason })
    }

    /// Its settings by name, as they are kept in a profile.
    pub(crate) fn settings(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a rule is plain data")
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            removal: 1.0,
            swap: 0.5,
            locality: 1.0,
            words: 1.0,
            lexical: 1.0,
            meaning: 1.0,
            convergence: 1.0,
            vocabulary: 1.0,
            suppression: 1.0,
            geometry: 1.0,
            write: 1.0,
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            stands_out: 2.5,
            outlier: 3.5,
            always: 0.9,
            least_ratio: 1.2,
            least_kurtosis_spread: 0.02,
            least_accuracy_spread: 0.02,
            least_damage_spread: 0.02,
            floor_share: 0.1,
            stage_price: 1.0,
            alone: 0.5,
            permutations: 999,
            significance: 0.05,
            significance_alone: 0.1,
            least_contrast: std::f64::consts::LN_2,
            smooth_width: 3.0,
            resamples: 1000,
            coverage: 0.95,
            least_support: 0.9,
            least_rules: 0.5,
            multiverse: true,
            must_predict: true,
            seed: 0,
        }
    }
}
