//! How far the heads of each layer look back: [`AttentionByDistance`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Activation, Hook, HookSet, Observer, Site, Tap};
use stratigraph_probes::attention::{AttentionHeads, AttentionMeasure};

use super::curve_of_windows;
use crate::{Findings, Measurement, Needs, Observation, Result, StudyContext, Work};

/// How far the heads of each layer look back, in the unchanged model: curves `attention_at_distance_*`, `prev5_attention`,
/// `prev5_attention_mass`, `prev5_attention_mass_after_first` and `first_token_attention` over layers. A distance that windows are
/// too short for has no curve.
#[derive(Debug, Clone)]
pub struct AttentionByDistance {
    measures: Vec<AttentionMeasure>,
}

impl Default for AttentionByDistance {
    /// Distances 1, 2, 4, 8 and 16, the previous five in all three ways, and the first token.
    fn default() -> Self {
        Self { measures: AttentionMeasure::DEFAULT.to_vec() }
    }
}

impl AttentionByDistance {
    pub(super) const NAME: &str = "attention";

    pub(super) fn requirements() -> Needs {
        Needs::hooks([Hook::Pattern])
    }

    /// Of other measures.
    pub fn new(measures: impl IntoIterator<Item = AttentionMeasure>) -> Self {
        Self { measures: measures.into_iter().collect() }
    }
}

impl Measurement for AttentionByDistance {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Self::requirements()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (windows, device) = (context.windows, context.model.device());
        let heads = AttentionHeads::from_query(&self.measures, windows.seq_len(), windows.measured_from(), &device);
        Ok(vec![Work::Observe(Box::new(Heads { heads, n_layers: context.model.n_layers() }))])
    }
}

struct Heads {
    heads: AttentionHeads,
    n_layers: usize,
}

impl Tap for Heads {
    fn hooks(&self) -> HookSet {
        self.heads.hooks()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        self.heads.visit(site, hook, activation)
    }
}

impl Observer for Heads {
    fn begin(&mut self, windows: Range<usize>) {
        self.heads.begin(windows);
    }

    fn end(&mut self, resid: &Tensor<3>) -> stratigraph_core::Result<()> {
        self.heads.end(resid)
    }
}

impl Observation for Heads {
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<()> {
        self.heads.measures().iter().try_for_each(|&measure| {
            let name = measure.to_string();
            findings.add_curve(&name, curve_of_windows(&name, self.n_layers, &self.heads.layers(measure)))
        })
    }
}
