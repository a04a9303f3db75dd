//! A mixture of experts: [`Mixture`].
//!
//! Positions are grouped by expert, so the cost grows with the experts that are used and not with all of them.

use burn::module::Module;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use stratigraph_core::{Hook, Result, Site, Tap, visit};

use super::host;
use super::linear::{Linear, linear};
use super::mlp::{FeedForward, Neurons};
use crate::Weighting;

/// MLPs, a few of which a router chooses for each position, and one that all positions use.
#[derive(Module, Debug)]
pub(super) struct Mixture {
    /// `[d_model, n_experts]`
    pub(super) router: Linear,
    pub(super) experts: Vec<FeedForward>,
    pub(super) shared: Option<Shared>,
    pub(super) n_active: usize,
    #[module(skip)]
    pub(super) weighting: Weighting,
}

/// The expert that every position uses.
#[derive(Module, Debug)]
pub(super) struct Shared {
    pub(super) mlp: FeedForward,
    /// What it is multiplied by, before a sigmoid, `[d_model, 1]`.
    pub(super) weight: Linear,
}

/// Which experts the rows of a batch use.
struct Routed {
    /// What each expert is multiplied by, `[rows, n_experts]`; 0 where it is not used.
    weights: Tensor<2>,
    /// The experts of each row by falling weight.
    chosen: Vec<Vec<usize>>,
}

/// The rows that use one expert.
struct Group<'a> {
    mlp: &'a FeedForward,
    /// The first of its neurons among those of the mixture.
    first_neuron: usize,
    /// `[n]`
    rows: Tensor<1, Int>,
    /// What its output is multiplied by, `[n, 1]`.
    weights: Tensor<2>,
}

impl Mixture {
    /// What the mixture adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let [batch, pos, d_model] = normed.dims();
        let rows = normed.reshape([batch * pos, d_model]);
        let Routed { weights, chosen } = self.route(rows.clone());
        let n_experts = self.experts.len();
        let (weights, used) = if tap.wants(site, Hook::ExpertWeights) {
            let weights = visit(tap, site, Hook::ExpertWeights, weights.reshape([batch, pos, n_experts]))?;
            let weights = weights.reshape([batch * pos, n_experts]);
            let used = rows_by_weight(&weights);
            (weights, used)
        } else {
            (weights, rows_by_choice(&chosen, n_experts))
        };
        if tap.wants(site, Hook::ExpertIndices) {
            let indices: Vec<f32> = chosen.iter().flatten().map(|expert| *expert as f32).collect();
            let indices = Tensor::from_data(TensorData::new(indices, [batch, pos, self.n_active]), &rows.device());
            visit(tap, site, Hook::ExpertIndices, indices)?;
        }
        let groups = self.groups(&rows, weights, used);
        let out = if tap.wants(site, Hook::MlpPre) || tap.wants(site, Hook::MlpPost) {
            self.visited(rows, [batch, pos], &groups, (site, tap))?
        } else {
            let run = |out: Tensor<2>, group: &Group| {
                let Neurons { pre, up } = group.neurons(&rows);
                group.add_to(out, group.mlp.activated(pre, up))
            };
            groups.iter().fold(rows.zeros_like(), run)
        };
        Ok(out.reshape([batch, pos, d_model]))
    }

    /// The MLPs of all experts, the shared one last.
    fn mlps(&self) -> impl Iterator<Item = &FeedForward> {
        self.experts.iter().chain(self.shared.as_ref().map(|shared| &shared.mlp))
    }

    /// The maps of all experts, without the router and the weight of the shared expert.
    pub(super) fn maps(&self) -> Vec<&Linear> {
        self.mlps().flat_map(FeedForward::maps).collect()
    }

    /// The output weights of all experts, one after the other, `[d_mlp, d_model]`.
    pub(super) fn w_out(&self) -> Tensor<2> {
        Tensor::cat(self.mlps().map(|mlp| mlp.down.matrix()).collect(), 0)
    }

    /// Chooses the experts of rows `[rows, d_model]`. The choice is made in host memory.
    fn route(&self, rows: Tensor<2>) -> Routed {
        let ([n, _], device) = (rows.dims(), rows.device());
        let n_experts = self.experts.len();
        let scores = self.router.forward(rows);
        let host_scores = host::floats(scores.clone());
        let chosen: Vec<_> =
            host::slice(&host_scores).chunks(n_experts).map(|row| largest(row, self.n_active)).collect();
        let mut mask = vec![0.0f32; n * n_experts];
        for (row, experts) in mask.chunks_mut(n_experts).zip(&chosen) {
            experts.iter().for_each(|expert| row[*expert] = 1.0);
        }
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [n, n_experts]), &device);
        let weights = softmax(scores, 1) * mask;
        let weights = match self.weighting {
            Weighting::Softmax => weights,
            Weighting::Renormalized => weights.clone() / weights.sum_dim(1),
        };
        Routed { weights, chosen }
    }

    /// The experts that have rows, and the shared one.
    fn groups(&self, rows: &Tensor<2>, weights: Tensor<2>, used: Vec<Vec<i32>>) -> Vec<Group<'_>> {
        let ([n, _], device) = (rows.dims(), rows.device());
        let mut groups = Vec::new();
        let mut first_neuron = 0;
        for (index, (mlp, used)) in self.experts.iter().zip(used).enumerate() {
            if !used.is_empty() {
                let rows = indices(used, &device);
                let weights = weights.clone().narrow(1, index, 1).select(0, rows.clone());
                groups.push(Group { mlp, first_neuron, rows, weights });
            }
            first_neuron += mlp.n_neurons();
        }
        if let Some(Shared { mlp, weight }) = &self.shared {
            let weights = sigmoid(weight.forward(rows.clone()));
            groups.push(Group { mlp, first_neuron, rows: indices((0..n as i32).collect(), &device), weights });
        }
        groups
    }

    /// The output, after the tap has seen the neurons of all experts side by side; those of experts that a row does not use
    /// are 0.
    fn visited(
        &self,
        rows: Tensor<2>,
        [batch, pos]: [usize; 2],
        groups: &[Group],
        (site, tap): (Site, &mut dyn Tap),
    ) -> Result<Tensor<2>> {
        let [n, _] = rows.dims();
        let shared = self.shared.as_ref().map(|shared| &shared.mlp);
        let n_neurons = self.experts.iter().chain(shared).map(FeedForward::n_neurons).sum();
        let mut side_by_side = |hook: Hook, neurons: Vec<Tensor<3>>| -> Result<Vec<Tensor<3>>> {
            if !tap.wants(site, hook) {
                return Ok(neurons);
            }
            let empty = Tensor::<2>::zeros([n, n_neurons], &rows.device());
            let all = groups.iter().zip(neurons).fold(empty, |all, (group, neurons)| group.put(all, neurons));
            let all = visit(tap, site, hook, all.reshape([batch, pos, n_neurons]))?.reshape([n, n_neurons]);
            Ok(groups.iter().map(|group| group.take(all.clone())).collect())
        };
        let (pre, ups): (Vec<_>, Vec<_>) =
            groups.iter().map(|group| group.neurons(&rows)).map(|Neurons { pre, up }| (pre, up)).unzip();
        let pre = side_by_side(Hook::MlpPre, pre)?;
        let activated = groups.iter().zip(pre).zip(ups).map(|((group, pre), up)| group.mlp.activated(pre, up));
        let post = side_by_side(Hook::MlpPost, activated.collect())?;
        Ok(groups.iter().zip(post).fold(rows.zeros_like(), |out, (group, post)| group.add_to(out, post)))
    }
}

impl Group<'_> {
    /// Its neurons before the nonlinearity, `[1, n, d_expert]`, of all `rows` `[rows, d_model]`.
    fn neurons(&self, rows: &Tensor<2>) -> Neurons {
        self.mlp.neurons(rows.clone().select(0, self.rows.clone()).unsqueeze_dim(0))
    }

    /// Adds what it writes for activated neurons `[1, n, d_expert]` to `out` `[rows, d_model]`.
    fn add_to(&self, out: Tensor<2>, post: Tensor<3>) -> Tensor<2> {
        let written = linear(&self.mlp.down, post).squeeze_dim::<2>(0) * self.weights.clone();
        out.select_assign(0, self.rows.clone(), written, IndexingUpdateOp::Add)
    }

    /// Puts its neurons `[1, n, d_expert]` where they belong among those of the mixture, `[rows, d_mlp]`.
    fn put(&self, all: Tensor<2>, neurons: Tensor<3>) -> Tensor<2> {
        let [n_rows, _] = all.dims();
        let [_, _, width] = neurons.dims();
        let columns = Tensor::<2>::zeros([n_rows, width], &all.device());
        let columns = columns.select_assign(0, self.rows.clone(), neurons.squeeze_dim(0), IndexingUpdateOp::Add);
        all.slice_assign([0..n_rows, self.first_neuron..self.first_neuron + width], columns)
    }

    /// Its neurons among those of the mixture.
    fn take(&self, all: Tensor<2>) -> Tensor<3> {
        let columns = all.narrow(1, self.first_neuron, self.mlp.n_neurons());
        columns.select(0, self.rows.clone()).unsqueeze_dim(0)
    }
}

/// The indices of the `n` largest scores, the largest first; of equal ones the first.
fn largest(scores: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order.truncate(n);
    order
}

/// The rows that chose each of `n_experts`.
fn rows_by_choice(chosen: &[Vec<usize>], n_experts: usize) -> Vec<Vec<i32>> {
    let mut used = vec![Vec::new(); n_experts];
    for (row, experts) in (0..).zip(chosen) {
        experts.iter().for_each(|expert| used[*expert].push(row));
    }
    used
}

/// The rows in which the weight `[rows, n_experts]` of each expert is not 0.
fn rows_by_weight(weights: &Tensor<2>) -> Vec<Vec<i32>> {
    let [_, n_experts] = weights.dims();
    let weights = host::floats(weights.clone());
    let mut used = vec![Vec::new(); n_experts];
    for (row, weights) in (0..).zip(host::slice(&weights).chunks(n_experts)) {
        for (used, _) in used.iter_mut().zip(weights).filter(|(_, weight)| **weight != 0.0) {
            used.push(row);
        }
    }
    used
}

fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}
