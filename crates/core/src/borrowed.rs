//! A borrowed model is a model.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};

use crate::{IncrementalModel, ModelShape, ModelWeights, ResidualModel, Result, Site, Tap};

impl<M: ResidualModel + ?Sized> ResidualModel for &M {
    fn shape(&self) -> ModelShape {
        (**self).shape()
    }

    fn device(&self) -> Device {
        (**self).device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        (**self).embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        (**self).block(site, resid, tap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        (**self).final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        (**self).unembed(normed, vocab)
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        (**self).weights()
    }

    fn incremental(&self) -> Option<&dyn IncrementalModel> {
        (**self).incremental()
    }
}
