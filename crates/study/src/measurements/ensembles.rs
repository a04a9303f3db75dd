//! Ensembles of neurons that predict a suffix: [`SuffixEnsembles`].

use stratigraph_core::{Hook, ResidualModel};
use stratigraph_probes::lexical::{ENSEMBLE_NEURONS, EnsembleNeuron, Ensembles, SuffixTask, ensembles};
use stratigraph_probes::neurons::{NeuronIndex, TokenClass, TokenHistograms};
use stratigraph_profile::{Axis, Curve, Matrix, Unit};

use super::words::share_of;
use crate::progress::pass_work;
use crate::{Measurement, Needs, Result, StudyContext, Work};

/// Neurons whose tokens are counted.
const SHOWN: usize = 6;
/// Bins of cosines, as in the authors' figure.
const BINS: usize = 40;

/// Ensembles of neurons that predict whether the next word has a suffix: matrix `ensemble_SUFFIX`, and the curve
/// `ensemble_SUFFIX_neurons` of each neuron alone, which says whether it promotes or suppresses the suffix; matrix
/// `ensemble_SUFFIX_tokens`, how many tokens have which cosine with the first of them. Before verbs, all names begin with
/// `ensemble_SUFFIX_verbs`.
#[derive(Debug, Clone)]
pub struct SuffixEnsembles {
    name: String,
    suffix: String,
    task: SuffixTask,
    token_texts: Vec<String>,
}

impl SuffixEnsembles {
    /// For a suffix such as `ing`; `token_texts` is the text of every token.
    pub fn new(suffix: impl Into<String>, task: SuffixTask, token_texts: Vec<String>) -> Self {
        let suffix = suffix.into();
        Self { name: format!("ensemble_{suffix}"), suffix, task, token_texts }
    }

    /// Says that the words after all windows are verbs, with and without the suffix.
    pub fn before_verbs(self) -> Self {
        Self { name: format!("ensemble_{}_verbs", self.suffix), ..self }
    }

    /// How often each neuron alone is right, in the order in which ensembles take them.
    fn neuron_curve(&self, found: &Ensembles) -> Curve {
        let label = |it: &EnsembleNeuron| {
            let few = if it.writes_few_tokens() { "" } else { ", kurtosis below 10" };
            format!("{}.{} {}{few}", it.layer, it.neuron, if it.promotes() { "promotes" } else { "suppresses" })
        };
        let axis = Axis::labelled("neuron", found.neurons.iter().map(label));
        let accuracy = found.neurons.iter().map(|it| it.accuracy.share()).collect();
        Curve::new(axis, Unit::Fraction, accuracy)
            .with_title(format!("Neurons for -{} alone", self.suffix))
            .with_definition(format!(
                "accuracy of a probe on one neuron, in telling whether the next word ends in -{}; neuron 7 of layer 3 is 3.7, and \
                 promotes or suppresses tokens with the suffix",
                self.suffix
            ))
    }

    /// The tokens of the first neurons by their cosines, with the suffix and without.
    fn token_matrix(&self, model: &dyn ResidualModel, found: &Ensembles) -> Result<Matrix> {
        let class = TokenClass::Suffix(self.suffix.clone());
        let belongs: Vec<bool> = self.token_texts.iter().map(|text| class.contains(text)).collect();
        let shown = &found.neurons[..found.neurons.len().min(SHOWN)];
        let indices: Vec<_> = shown.iter().map(|it| NeuronIndex { layer: it.layer, neuron: it.neuron }).collect();
        let histograms = TokenHistograms::new(model, &indices, &belongs, BINS)?;
        let name = |it: &EnsembleNeuron| format!("{}.{}", it.layer, it.neuron);
        let rows = shown.iter().flat_map(|it| [format!("{} {class}", name(it)), format!("{} others", name(it))]);
        let counts = histograms.neurons.iter().flat_map(|of| [&of.inside, &of.outside]);
        let counts = counts.map(|counts| counts.iter().map(|count| *count as f64).collect());
        let bins = histograms.middles().map(|middle| format!("{middle:.3}"));
        Ok(Matrix::new(Axis::labelled("tokens", rows), Axis::labelled("cosine", bins), Unit::Count, counts.collect()))
    }
}

impl Measurement for SuffixEnsembles {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::MlpPost]).with_weights()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let model = context.model;
        self.task.windows().check(model)?;
        let units = pass_work(&model.shape(), self.task.windows().ids().len());
        let n_windows = self.task.windows().n_sequences() as f64;
        Ok(vec![Work::own(units, move |findings, progress| {
            let mut share = share_of(units, progress);
            let done = |n| share(n as f64 / n_windows);
            let found = ensembles(model, &self.task, &self.token_texts, ENSEMBLE_NEURONS, done)?;
            findings.add_curve(&format!("{}_neurons", self.name), self.neuron_curve(&found))?;
            findings.add_matrix(&format!("{}_tokens", self.name), self.token_matrix(model, &found)?)?;
            findings.add_matrix(&self.name, ensemble_matrix(&found))
        })])
    }
}

/// Accuracies of ensembles by their size, and of the model.
fn ensemble_matrix(found: &Ensembles) -> Matrix {
    let sizes = found.together.iter().map(|it| it.n_neurons.to_string());
    let probe = found.together.iter().map(|it| it.accuracy.share()).collect();
    let model = vec![found.model.share(); found.together.len()];
    let rows = Axis::labelled("predictor", ["probe", "model"]);
    Matrix::new(rows, Axis::labelled("neurons", sizes), Unit::Fraction, vec![probe, model])
}
