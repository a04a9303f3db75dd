//! What each lens reads in a prompt, by the metrics of a study: [`grids`].

use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, Site, TokenWindows};
use stratigraph_probes::lens::{Lens, LensReading, LensRows, ReadStream};
use stratigraph_probes::metrics::{EntropyBits, Kl, Loss, Metrics, OutputProbability, OutputRank};
use stratigraph_probes::readout::{Readout, TopToken};
use stratigraph_probes::scores::PositionScores;
use stratigraph_profile::prompt::{LensCell, LensGrid, LikelyToken};

use super::PromptStudy;
use crate::{Result, StudyError};

/// The residual stream at each residual position of the only window, `[1, pos, d_model]` each.
pub(super) fn streams(model: &dyn ResidualModel, prompt: &TokenWindows) -> Result<Vec<Tensor<3>>> {
    let mut streams = vec![model.embed(prompt.batch(0..1, &model.device()))?];
    for layer in 0..model.n_layers() {
        let before = streams[layer].clone();
        streams.push(model.block(Site { slot: layer, layer }, before, &mut NoTap)?);
    }
    Ok(streams)
}

/// A grid for each lens.
pub(super) fn grids(study: &PromptStudy) -> Result<Vec<LensGrid>> {
    let (model, shape) = (study.model, study.model.shape());
    for (index, lens) in study.lenses.iter().enumerate() {
        lens.check(&shape)?;
        if study.lenses[..index].iter().any(|other| other.name() == lens.name()) {
            return Err(StudyError::NameTaken { what: "lens", name: lens.name().to_owned() });
        }
    }
    let metrics = Metrics::new().with(Kl)?.with(EntropyBits)?.with(Loss)?.with(OutputRank)?.with(OutputProbability)?;
    let grids = Grids {
        readout: study.readout().with_metrics(metrics),
        streams: streams(model, &study.prompt)?,
        prompt: &study.prompt,
        top_k: study.top_k.clamp(1, shape.d_vocab),
    };
    let output = grids.output()?;
    study.lenses.iter().map(|lens| grids.of(lens, output.clone())).collect()
}

struct Grids<'a> {
    readout: Readout<'a>,
    /// The last one is the model's own.
    streams: Vec<Tensor<3>>,
    prompt: &'a TokenWindows,
    top_k: usize,
}

impl Grids<'_> {
    fn last(&self) -> &Tensor<3> {
        &self.streams[self.streams.len() - 1]
    }

    /// What the model itself predicts.
    fn output(&self) -> Result<Vec<LensCell>> {
        let scores = self.scores(vec![ReadStream::from(self.last().clone())])?;
        let top = self.readout.top_k(rows(self.last()), self.top_k)?;
        Ok(cells(&scores[0], top))
    }

    fn of(&self, lens: &Arc<dyn Lens>, output: Vec<LensCell>) -> Result<LensGrid> {
        let before_last = 0..self.streams.len() - 1;
        let read: Vec<usize> = before_last.clone().filter(|&position| lens.reads(position)).collect();
        let reading = |&position: &usize| {
            ReadStream::new(self.streams[position].clone(), Some(LensReading::new(lens.clone(), position)))
        };
        let clean = ReadStream::from(self.last().clone());
        let scores = self.scores(std::iter::once(clean).chain(read.iter().map(reading)).collect())?;
        let mut grid = vec![Vec::new(); before_last.len()];
        for (&position, scores) in read.iter().zip(&scores[1..]) {
            let of_rows = LensRows::new(position, rows(&self.streams[position])).with_last(rows(self.last()));
            grid[position] = cells(scores, self.readout.lens_top_k(&**lens, of_rows, self.top_k)?);
        }
        grid.push(output);
        Ok(LensGrid::new(lens.name(), title(lens.name()), grid).with_origin(lens.origin()))
    }

    /// The metrics of streams, of which the first one is the model's own.
    fn scores(&self, streams: Vec<ReadStream>) -> Result<Vec<PositionScores>> {
        let mut scores = vec![PositionScores::default(); streams.len()];
        self.readout.compare(self.prompt, 0..1, streams, 0, &mut scores)?;
        Ok(scores)
    }
}

/// `[1, pos, d_model]` to `[pos, d_model]`.
fn rows(stream: &Tensor<3>) -> Tensor<2> {
    let [_, pos, d_model] = stream.dims();
    stream.clone().reshape([pos, d_model])
}

/// A cell for each position.
fn cells(scores: &PositionScores, top: Vec<Vec<TopToken>>) -> Vec<LensCell> {
    let cell = |(tokens, values): (Vec<TopToken>, &[Option<f64>])| {
        let value = |index: usize| values[index].unwrap_or(f64::NAN);
        let likely = tokens.into_iter().map(|token| LikelyToken::new(token.id, token.log_prob.exp()));
        LensCell::new(likely.collect())
            .with_kl(value(0))
            .with_entropy_bits(value(1))
            .with_nll(values[2])
            .with_output(value(3) as u64, value(4))
    };
    top.into_iter().zip(scores.rows().map(|row| row.values)).map(cell).collect()
}

/// What a reader calls a lens.
fn title(name: &str) -> String {
    if name == "lens" { "logit lens".to_owned() } else { name.replace('_', " ") }
}
