//! Splitting rows into statements of few sizes.

/// Maximum number of rows of one statement. All sizes are powers of two, so that few statements are prepared.
const MAX_ROWS: usize = 16;

/// Rows in parts of 16, 8, 4, 2 and 1.
pub(super) fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut size = MAX_ROWS;
    std::iter::from_fn(move || {
        while size > rows.len() {
            size /= 2;
        }
        let (part, rest) = rows.split_at_checked(size).filter(|(part, _)| !part.is_empty())?;
        rows = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_few_sizes_and_contain_all_rows() {
        for count in 0..100 {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = parts(&rows).collect();
            assert!(parts.iter().all(|part| part.len().is_power_of_two() && part.len() <= MAX_ROWS));
            assert_eq!(parts.concat(), rows);
        }
    }
}
