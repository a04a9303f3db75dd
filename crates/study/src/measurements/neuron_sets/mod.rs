//! Classes of neurons ablated together, compared with random sets of neurons: [`NeuronSets`].

mod comparison;

use stratigraph_core::{EditKind, Hook, MeanOver, SplitMix64};
use stratigraph_probes::neurons::{MatchedSets, NeuronSet, neuron_classes, output_norms};
use stratigraph_surgery::Intervention;

pub use comparison::NeuronSetComparison;

use crate::{Derived, Measurement, Needs, Result, StudyContext, StudyError, Work};

/// The MLP neurons of each class of a model ([`NeuronClass`](stratigraph_probes::neurons::NeuronClass)) ablated together, and
/// as many random neurons of the same layers with output weights of similar length ([`MatchedSets`]) in their place.
///
/// Curves over the classes, for each metric: `neuron_sets_*` of the class, `neuron_sets_random_*` of the random sets' mean,
/// `neuron_sets_random_sd_*` of their spread, and `neuron_sets_difference_*` of the class minus the random sets, window by
/// window. `neuron_sets_size` has the number of neurons of every class; a class without a neuron, or with more than half of
/// the neurons of a layer, is there and in no other curve. Mean-ablated, names begin with `mean_neuron_sets`.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::{Study, measurements::NeuronSets};
///
/// fn study(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<()> {
///     let findings = Study::new(model).add(NeuronSets::zero().with_random_sets(10)).run(windows)?;
///     let difference = findings.curve("neuron_sets_difference_entropy_bits")?;
///     println!("{:?}: {:?} ± {:?} bits", difference.axis, difference.mean, difference.sem);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct NeuronSets {
    kind: EditKind,
    n_random: usize,
    own: Vec<OwnSet>,
}

/// A set of the user's own.
#[derive(Debug, Clone)]
struct OwnSet {
    label: String,
    set: NeuronSet,
}

impl NeuronSets {
    pub(super) const ZERO: &str = "neuron_sets";
    pub(super) const MEAN: &str = "mean_neuron_sets";
    /// The random sets that each class is compared with, unless another number is asked for.
    pub const RANDOM_SETS: usize = 5;

    /// Neurons are zeroed.
    pub fn zero() -> Self {
        Self { kind: EditKind::Zero, n_random: Self::RANDOM_SETS, own: Vec::new() }
    }

    /// Neurons are replaced by their means over the corpus.
    pub fn mean() -> Self {
        Self { kind: EditKind::Mean(MeanOver::All), ..Self::zero() }
    }

    /// With another number of random sets for each class, at least two.
    pub fn with_random_sets(self, n_random: usize) -> Self {
        Self { n_random, ..self }
    }

    /// With a set of your own beside the classes; `label` is its name on the axis.
    pub fn with_set(mut self, label: impl Into<String>, set: NeuronSet) -> Self {
        self.own.push(OwnSet { label: label.into(), set });
        self
    }

    fn cannot(&self, reason: String) -> StudyError {
        StudyError::CannotMeasure { name: self.name(), reason }
    }

    /// Every set with its label: the classes, and the user's own.
    fn sets(&self, context: &StudyContext) -> Result<Vec<OwnSet>> {
        let classes = neuron_classes(context.model, &context.windows.text_ids().collect::<Vec<_>>())?;
        let classes = classes.into_iter().map(|(class, set)| OwnSet { label: class.to_string(), set });
        Ok(classes.chain(self.own.iter().cloned()).collect())
    }

    fn ablation(&self, set: &NeuronSet, n_layers: usize, name: String) -> Intervention {
        set.edits(&self.kind).fold(Intervention::none(n_layers), Intervention::edit).with_name(name)
    }

    /// The interventions of each set: its ablation, and those of random sets; none for a set that is left out.
    fn interventions(&self, sets: &[OwnSet], context: &StudyContext) -> Result<Vec<Vec<Intervention>>> {
        let (name, n_layers) = (self.name(), context.model.n_layers());
        let (matched, mut random) = (MatchedSets::new(output_norms(context.model)?), SplitMix64::new(context.seed));
        let of_set = |OwnSet { label, set }: &OwnSet| {
            let drawn: Option<Vec<_>> = (0..self.n_random).map(|_| matched.draw(set, &mut random)).collect();
            let Some(drawn) = drawn.filter(|_| !set.is_empty()) else { return Vec::new() };
            let random_name = |index: usize| format!("{name} {label} random {index}");
            let random = drawn.iter().enumerate();
            let random = random.map(|(index, set)| self.ablation(set, n_layers, random_name(index)));
            std::iter::once(self.ablation(set, n_layers, format!("{name} {label}"))).chain(random).collect()
        };
        Ok(sets.iter().map(of_set).collect())
    }
}

impl Measurement for NeuronSets {
    fn name(&self) -> String {
        if self.kind == EditKind::Zero { Self::ZERO } else { Self::MEAN }.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::MlpPost]).with_weights().with_n_layers(1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        if self.n_random < 2 {
            let n = self.n_random;
            return Err(self.cannot(format!("their spread takes at least 2 random sets, and {n} were asked for")));
        }
        let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
        for OwnSet { set, .. } in &self.own {
            self.ablation(set, shape.n_layers, self.name()).check(&shape, seq_len)?;
        }
        let sets = self.sets(context)?;
        let twice = |nth: usize| sets[..nth].iter().any(|other| other.label == sets[nth].label);
        if let Some(nth) = (0..sets.len()).find(|nth| twice(*nth)) {
            return Err(self.cannot(format!("two sets are called `{}`; give one another label", sets[nth].label)));
        }
        let interventions = self.interventions(&sets, context)?;
        if interventions.iter().all(Vec::is_empty) {
            let sizes: Vec<_> = sets.iter().map(|it| format!("{} ({})", it.label, it.set.len())).collect();
            let reason = "no class has neurons and as many others in their layers to compare them with";
            return Err(self.cannot(format!("{reason}; classes and their neurons: {}", sizes.join(", "))));
        }
        let kept = sets.iter().zip(&interventions).filter(|(_, runs)| !runs.is_empty());
        let comparison = NeuronSetComparison {
            name: self.name(),
            sizes: sets.iter().map(|it| it.set.len()).collect(),
            labels: sets.iter().map(|it| it.label.clone()).collect(),
            measured: kept.map(|(it, _)| it.label.clone()).collect(),
            n_random: self.n_random,
        };
        let interventions = interventions.concat();
        interventions.iter().try_for_each(|intervention| intervention.check(&shape, seq_len))?;
        let sets = Work::Interventions { name: self.name(), interventions, collect: None };
        Ok(vec![sets, Work::Derived(Derived::NeuronSets(comparison))])
    }
}
