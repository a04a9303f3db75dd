//! Models that wrap another one: [`rest_of!`].

/// Methods of `ResidualModel` that a field's model answers: `rest_of!(model: shape device);` inside an `impl`.
macro_rules! rest_of {
    ($model:tt: $($method:ident)+) => {
        $(rest_of!(@$method $model);)+
    };
    (@shape $model:tt) => {
        fn shape(&self) -> stratigraph_core::ModelShape {
            self.$model.shape()
        }
    };
    (@device $model:tt) => {
        fn device(&self) -> burn::tensor::Device {
            self.$model.device()
        }
    };
    (@embed $model:tt) => {
        fn embed(
            &self,
            tokens: burn::tensor::Tensor<2, burn::tensor::Int>,
        ) -> stratigraph_core::Result<burn::tensor::Tensor<3>> {
            self.$model.embed(tokens)
        }
    };
    (@block $model:tt) => {
        fn block(
            &self,
            site: stratigraph_core::Site,
            resid: burn::tensor::Tensor<3>,
            tap: &mut dyn stratigraph_core::Tap,
        ) -> stratigraph_core::Result<burn::tensor::Tensor<3>> {
            self.$model.block(site, resid, tap)
        }
    };
    (@final_norm $model:tt) => {
        fn final_norm(&self, rows: burn::tensor::Tensor<2>) -> stratigraph_core::Result<burn::tensor::Tensor<2>> {
            self.$model.final_norm(rows)
        }
    };
    (@unembed $model:tt) => {
        fn unembed(
            &self,
            normed: burn::tensor::Tensor<2>,
            vocab: std::ops::Range<usize>,
        ) -> stratigraph_core::Result<burn::tensor::Tensor<2>> {
            self.$model.unembed(normed, vocab)
        }
    };
}
