//! [`GameColumns`]: the columns of what the game sends.

use arrow_schema::{DataType, Field, Schema};
use experience_policy::PolicyLayout;
use std::sync::Arc;

/// The schema of the batches of the game.
pub(crate) fn game_schema(layout: &PolicyLayout) -> Schema {
    let list = |name: String, element: DataType, width: usize| {
        let item = Arc::new(Field::new("item", element, false));
        Field::new(name, DataType::FixedSizeList(item, width as i32), false)
    };
    let mut fields = vec![
        Field::new("agent_id", DataType::Int64, false),
        Field::new("episode_id", DataType::Int64, false),
        Field::new("step", DataType::Int32, false),
        Field::new("transitions", DataType::Int32, false),
        Field::new("ticks", DataType::Int32, false),
        Field::new("reward", DataType::Float64, false),
        Field::new("outcome", DataType::UInt8, false),
        Field::new("end_reason", DataType::Utf8, false),
        list("observation".to_owned(), DataType::Float32, layout.features().len()),
    ];
    if layout.mask_width() > 0 {
        fields.push(list("action_mask".to_owned(), DataType::UInt8, layout.mask_width()));
    }
    if !layout.reward_terms().is_empty() {
        fields.push(list(
            "reward_terms".to_owned(),
            DataType::Float32,
            layout.reward_terms().len(),
        ));
    }
    for image in layout.images() {
        fields.push(list(
            format!("observation.{}", image.name),
            DataType::UInt8,
            image.width(),
        ));
    }
    Schema::new(fields)
}
