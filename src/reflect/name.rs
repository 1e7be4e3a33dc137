//! Column name prefixes: converts type names to `snake_case`.

use bevy_reflect::TypePath;

/// The default prefix of a type's columns: its short name in `snake_case`. `Health` is `health`, `Cooldown<Dash>` is
/// `cooldown_dash`.
///
/// The short name comes from [`TypePath`], which does not depend on the build as `core::any::type_name` does.
pub(crate) fn root_name<T: TypePath>() -> String {
    snake_case(T::short_type_path())
}

/// The `snake_case` of the short name of a type or of a variant, as it is in the names of columns. `MoveLeft` is `move_left`,
/// `Cooldown<Dash>` is `cooldown_dash`.
///
/// For crates that name the columns of other sources as [`Recording`](crate::recording::Recording) does.
#[must_use]
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut previous: Option<char> = None;
    let mut rest = name.chars().peekable();
    while let Some(letter) = rest.next() {
        if !letter.is_alphanumeric() {
            previous = None;
            continue;
        }
        let next_is_lower = rest.peek().is_some_and(|next| next.is_lowercase());
        let starts_word = match previous {
            None => true,
            Some(previous) => letter.is_uppercase() && (previous.is_lowercase() || next_is_lower),
        };
        if starts_word && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        previous = Some(letter);
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_reflect::Reflect;

    #[derive(Reflect)]
    struct Cooldown<T: Send + Sync + 'static>(f32, #[reflect(ignore)] core::marker::PhantomData<T>);

    #[test]
    fn snake_case_splits_words() {
        for (name, snake) in [
            ("Health", "health"),
            ("HTTPThing2", "http_thing2"),
            ("GlobalTransform", "global_transform"),
            ("Vec3A", "vec3a"),
            ("Player2Health", "player2_health"),
            ("already_snake", "already_snake"),
            ("_Hidden__Field", "hidden_field"),
            ("Cooldown<Dash, Jump>", "cooldown_dash_jump"),
            ("(f32, [u8; 3])", "f32_u8_3"),
            ("ÜberTyp", "über_typ"),
        ] {
            assert_eq!(snake_case(name), snake, "`{name}`");
        }
    }

    #[test]
    fn a_generic_type_includes_its_argument() {
        assert_eq!(root_name::<Cooldown<bevy_math::Vec3>>(), "cooldown_vec3");
    }
}
