//! The kernel as an operation of burn's backends, with and without fusion: [`RowSumsBackend`].

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, DType, Shape};
use burn_cubecl::CubeBackend;
use burn_fusion::custom::{CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorIr};
use burn_fusion::{ExecutionError, Fusion, FusionBackend, FusionRuntime};

use super::row_sums::{COLUMNS, launch};

/// A backend that reduces rows of logits.
pub(super) trait RowSumsBackend: Backend {
    /// The sums `[rows, 8]` of logits `[rows, tokens]`, with a place `[rows, 1]` in each row; `clean` has other logits
    /// `[rows, tokens]` that the first are measured against, and their sums.
    fn row_sums(
        logits: FloatTensor<Self>,
        clean: Option<[FloatTensor<Self>; 2]>,
        places: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl RowSumsBackend for CubeBackend {
    fn row_sums(
        logits: FloatTensor<Self>,
        clean: Option<[FloatTensor<Self>; 2]>,
        places: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        launch(logits, clean, places)
    }
}

/// Queued beside the operations that burn fuses, and run by itself.
impl<B: FusionBackend + RowSumsBackend> RowSumsBackend for Fusion<B> {
    fn row_sums(
        logits: FloatTensor<Self>,
        clean: Option<[FloatTensor<Self>; 2]>,
        places: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

        let client = logits.client.clone();
        let shape = Shape::new([logits.shape[0], COLUMNS]);
        let sums = TensorIr::uninit(client.create_empty_handle(), shape, DType::F32);
        let sums_id = sums.id;
        let (logits, places) = (logits.into_ir(), places.into_ir());
        let clean = clean.map(|clean| clean.map(|tensor| tensor.into_ir()));
        let inputs = [&logits, &places].into_iter().chain(clean.iter().flatten()).cloned().collect();
        let operation = CustomOpIr { id: "row_sums".to_owned(), inputs, outputs: vec![sums], scalars: Vec::new() };
        let run = OperationFn(move |handles: &mut Handles<B>| {
            let clean =
                clean.as_ref().map(|clean| clean.each_ref().map(|tensor| handles.get_float_tensor::<B>(tensor)));
            let (logits, places) = (handles.get_float_tensor::<B>(&logits), handles.get_int_tensor::<B>(&places));
            handles.register_float_tensor::<B>(&sums_id, B::row_sums(logits, clean, places));
            Ok::<_, ExecutionError>(())
        });
        let mut outputs = client.register(StreamId::current(), OperationIr::Custom(operation), run);
        outputs.pop().expect("the operation has one output")
    }
}
