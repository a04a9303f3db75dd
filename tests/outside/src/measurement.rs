//! A measurement of its own: [`WriteNorm`].

use stratigraph::prelude::*;

/// How much each layer adds to the residual stream: curve `write_norm`, the mean norm of the difference between what leaves
/// and what enters the layer.
pub struct WriteNorm;

impl Measurement for WriteNorm {
    fn name(&self) -> String {
        "write_norm".to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::ResidPre, Hook::ResidPost])
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>, StudyError> {
        let layers = vec![PerSequence::default(); context.model.n_layers()];
        Ok(vec![Work::Observe(Box::new(Writes { first_window: 0, entering: None, layers }))])
    }
}

struct Writes {
    /// The first window of the batch that runs.
    first_window: usize,
    /// What entered the layer that runs.
    entering: Option<Tensor<3>>,
    layers: Vec<PerSequence>,
}

impl Tap for Writes {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre, Hook::ResidPost].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation, CoreError> {
        let resid = activation.clone().wide(hook.at(site.slot))?;
        if hook == Hook::ResidPre {
            self.entering = Some(resid);
        } else if let Some(entering) = self.entering.take() {
            let norms: Activation = (resid - entering).square().sum_dim(2).sqrt().into(); // [batch, pos, 1]
            let pos = norms.dims()[1];
            for (window, norms) in (self.first_window..).zip(norms.to_vec().chunks(pos)) {
                norms.iter().for_each(|norm| self.layers[site.layer].push(window, f64::from(*norm)));
            }
        }
        Ok(activation)
    }
}

impl Observer for Writes {
    fn begin(&mut self, windows: std::ops::Range<usize>) {
        self.first_window = windows.start;
    }
}

impl Observation for Writes {
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<(), StudyError> {
        let axis = Axis::layers(self.layers.len());
        let curve = stratigraph::study::measured_curve(axis, Unit::Norm, &self.layers);
        let definition = "the mean over positions of the norm of what the layer adds to the residual stream";
        findings.add_curve("write_norm", curve.with_title("What layers write").with_definition(definition))
    }
}
