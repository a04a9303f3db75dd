//! How is a measurement of your own added to a study? `DeadNeurons` shares the pass over the corpus with every other
//! measurement that reads activations, and adds a curve under its own name, unit and title.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

/// The fraction of MLP neurons of each layer that are never active (above 0.1 in absolute value) on the corpus.
struct DeadNeurons;

impl Measurement for DeadNeurons {
    fn name(&self) -> String {
        "dead_neurons".to_owned()
    }
    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::MlpPost])
    }
    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>, StudyError> {
        Ok(vec![Work::Observe(Box::new(Largest(vec![Vec::new(); context.model.n_layers()])))])
    }
}

/// The largest activation of each neuron of each layer so far.
struct Largest(Vec<Vec<f32>>);

impl Tap for Largest {
    fn hooks(&self) -> HookSet {
        [Hook::MlpPost].into()
    }
    fn visit(&mut self, site: Site, _: Hook, activation: Activation) -> Result<Activation, CoreError> {
        let width = activation.dims()[2];
        let largest = &mut self.0[site.layer];
        largest.resize(width, 0.0);
        for row in activation.to_vec().chunks(width) {
            largest.iter_mut().zip(row).for_each(|(largest, x)| *largest = largest.max(x.abs()));
        }
        Ok(activation)
    }
}

impl Observer for Largest {}

impl Observation for Largest {
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<(), StudyError> {
        let dead = |layer: &Vec<f32>| layer.iter().filter(|x| **x < 0.1).count() as f64 / layer.len() as f64;
        let curve = Curve::new(Axis::layers(self.0.len()), Unit::Fraction, self.0.iter().map(dead).collect());
        findings.add_curve("dead_neurons", curve.with_title("MLP neurons that are never active"))
    }
}

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 8)?;
    let findings = Study::new(&model).add(DeadNeurons).run(&windows)?;
    println!("fraction of dead neurons by layer: {:.3?}", findings.curve("dead_neurons")?.mean);
    Ok(())
}
