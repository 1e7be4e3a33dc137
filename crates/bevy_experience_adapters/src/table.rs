//! Tables of inputs and names, which become columns of an action or choices of one column.

/// Names in the order in which they appear first, each with its inputs. Inputs with the same name belong together.
///
/// The table is kept as data, so that a choice can also be translated back to its inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputTable<T> {
    rows: Vec<(String, Vec<T>)>,
}

impl<T: PartialEq> InputTable<T> {
    /// Groups the rows of a table by their names.
    ///
    /// # Panics
    /// When the table has no rows, an empty name, or the same row twice. The message names the method.
    #[track_caller]
    pub(crate) fn new(method: &str, rows: impl IntoIterator<Item = (T, impl Into<String>)>) -> Self {
        let mut table: Vec<(String, Vec<T>)> = Vec::new();
        for (input, name) in rows {
            let name = name.into();
            assert!(
                !name.is_empty(),
                "`{method}` was given an empty name: name what the input does, such as \"jump\""
            );
            match table.iter_mut().find(|(known, _)| *known == name) {
                None => table.push((name, vec![input])),
                Some((_, inputs)) => {
                    assert!(
                        !inputs.contains(&input),
                        "`{method}` was given the same input for `{name}` twice: remove one"
                    );
                    inputs.push(input);
                }
            }
        }
        assert!(
            !table.is_empty(),
            "`{method}` was given an empty table: give it at least one input and its name"
        );
        Self { rows: table }
    }

    /// The same, as choices of one column: each input leads to one choice, and no choice has the label of the one without input.
    ///
    /// # Panics
    /// As [`new`](Self::new), and when an input has two names, or a name is [`NO_CHOICE`].
    #[track_caller]
    pub(crate) fn choices(method: &str, rows: impl IntoIterator<Item = (T, impl Into<String>)>) -> Self {
        let table = Self::new(method, rows);
        for (index, (name, inputs)) in table.rows.iter().enumerate() {
            assert!(
                name != NO_CHOICE,
                "`{method}` was given the name `{NO_CHOICE}`, which is the choice while no input is active: choose another"
            );
            if let Some((other, _)) = table.rows[..index]
                .iter()
                .find(|(_, earlier)| inputs.iter().any(|input| earlier.contains(input)))
            {
                panic!(
                    "`{method}` was given the same input for `{other}` and for `{name}`: an input has one choice, remove one"
                );
            }
        }
        table
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|(name, _)| name.as_str())
    }

    /// Names and inputs, in order.
    pub(crate) fn into_rows(self) -> Vec<(String, Vec<T>)> {
        self.rows
    }

    /// The labels of the choices: the one without input, then the names.
    pub(crate) fn labels(&self) -> Vec<String> {
        [NO_CHOICE].into_iter().chain(self.names()).map(str::to_owned).collect()
    }

    /// The number of choices.
    pub(crate) fn choice_count(&self) -> u64 {
        self.rows.len() as u64 + 1
    }

    /// The choice of the first row with an active input; 0 without one.
    pub(crate) fn choose(&self, is_active: impl Fn(&T) -> bool) -> i64 {
        let active = self.rows.iter().position(|(_, inputs)| inputs.iter().any(&is_active));
        active.map_or(0, |index| index as i64 + 1)
    }
}

/// The label of the choice while no input is active.
pub(crate) const NO_CHOICE: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_belong_together() {
        let table = InputTable::choices("m", [('a', "left"), ('d', "right"), ('<', "left")]);
        assert_eq!(table.labels(), ["none", "left", "right"]);
        assert_eq!(table.choice_count(), 3);
        for (active, choice) in [("", 0), ("<", 1), ("d", 2), ("da", 1), ("x", 0)] {
            assert_eq!(table.choose(|&input| active.contains(input)), choice, "{active}");
        }
        assert_eq!(
            table.into_rows(),
            [("left".to_owned(), vec!['a', '<']), ("right".to_owned(), vec!['d'])]
        );
    }

    #[test]
    fn an_input_may_have_two_columns() {
        let table = InputTable::new("m", [('a', "left"), ('a', "any")]);
        assert_eq!(table.names().collect::<Vec<_>>(), ["left", "any"]);
    }

    #[test]
    #[should_panic(expected = "`m` was given an empty table: give it at least one input and its name")]
    fn an_empty_table() {
        InputTable::<char>::new("m", [] as [(char, &str); 0]);
    }

    #[test]
    #[should_panic(expected = "`m` was given an empty name")]
    fn an_empty_name() {
        InputTable::new("m", [('a', "")]);
    }

    #[test]
    #[should_panic(expected = "`m` was given the same input for `left` twice: remove one")]
    fn a_row_that_is_given_twice() {
        InputTable::new("m", [('a', "left"), ('a', "left")]);
    }

    #[test]
    #[should_panic(expected = "`m` was given the same input for `left` and for `right`: an input has one choice")]
    fn an_input_with_two_choices() {
        InputTable::choices("m", [('a', "left"), ('a', "right")]);
    }

    #[test]
    #[should_panic(expected = "`m` was given the name `none`")]
    fn the_name_of_the_choice_without_input() {
        InputTable::choices("m", [('a', "none")]);
    }
}
