//! What is written is read again as the same, by this reader and by another one.

use proptest::prelude::*;

use super::Node;

/// Text with much of what YAML takes for syntax.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[-?:,\\[\\]{}#&*!|>'\"%@` a\n\t0.]{0,10}",
        "[0-9xob_.eE+:-]{1,8}",
        "[\u{0}-\u{a0}\u{2028}\u{feff}é😀\r\n ]{0,8}",
        prop::sample::select(vec![
            "yes",
            "No",
            "null",
            "~",
            "1e3",
            "0x10",
            "2026-11-21",
            "---",
            "...",
            "<<",
            "a\n\n",
            "a\n "
        ])
        .prop_map(str::to_owned),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        // Quarters: serde_json may read other fractions a last digit off.
        any::<i32>().prop_map(|number| (f64::from(number) / 4.0).into()),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((text(), inner), 0..5)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn written_yaml_is_read_as_the_same(value in json()) {
        let yaml = Node::from_json(&value.to_string(), 1).expect("it is JSON").to_yaml();
        let read = Node::from_yaml(&yaml, 0).expect(&yaml);
        let again = read.map_or("null".to_owned(), |node| node.to_json());
        let again: serde_json::Value = serde_json::from_str(&again).expect("it is JSON");
        prop_assert_eq!(&again, &value, "{}", yaml);
        let other: serde_json::Value = serde_saphyr::from_str(&yaml).expect(&yaml);
        prop_assert_eq!(&other, &value, "{}", yaml);
    }

    #[test]
    fn line_breaks_of_windows_change_nothing(value in json()) {
        let yaml = Node::from_json(&value.to_string(), 1).expect("it is JSON").to_yaml();
        let read = Node::from_yaml(&yaml.replace('\n', "\r\n"), 0).expect(&yaml);
        let again = read.map_or("null".to_owned(), |node| node.to_json());
        let again: serde_json::Value = serde_json::from_str(&again).expect("it is JSON");
        prop_assert_eq!(&again, &value, "{}", yaml);
    }

    #[test]
    fn no_text_stops_the_reader(text in "[-?:,\\[\\]{}#&*!|>'\"%@` a\n\t0~<]{0,40}") {
        let _ = Node::from_yaml(&text, 0);
        let _ = Node::from_json(&text, 0);
    }

    #[test]
    fn json_is_written_as_it_was_read(value in json()) {
        let node = Node::from_json(&value.to_string(), 1).expect("it is JSON");
        let mut indented = String::new();
        node.write_json(&mut indented, Some(0));
        for text in [node.to_json(), indented] {
            let again: serde_json::Value = serde_json::from_str(&text).expect(&text);
            prop_assert_eq!(&again, &value);
        }
    }
}
