//! Files of `testdata/`: `good/*.yml` reads as the line in `*.line`, `bad/*.yml` is refused with the lines of `*.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use yaml::Node;
use yaml::write::to_line;

fn folder(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("testdata")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{name} lost its files");
    files
}

fn read(path: &Path) -> Result<Node, yaml::Problems> {
    let name = path.file_name().expect("name").to_string_lossy();
    yaml::parse_bytes(&name, &fs::read(path).expect("readable"))
}

#[test]
fn good_files_read_as_written_beside_them() {
    for path in folder("good") {
        let want = fs::read_to_string(path.with_extension("line")).expect("the line beside it");
        let node = read(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(to_line(&node), want.trim_end(), "{}", path.display());
        let written = yaml::to_string(&node);
        let again = yaml::parse("written", &written).unwrap_or_else(|problems| panic!("{problems}\n{written}"));
        assert_eq!(to_line(&again), want.trim_end(), "written and read again:\n{written}");
    }
}

#[test]
fn bad_files_are_refused_with_every_place() {
    for path in folder("bad") {
        let want = fs::read_to_string(path.with_extension("txt")).expect("the messages beside it");
        let problems = read(&path).expect_err(&path.display().to_string());
        assert_eq!(problems.to_string(), want.trim_end(), "{}", path.display());
    }
}

#[test]
fn every_value_knows_its_place() {
    let text = "a: 1\nlist:\n  - x: 'y'\n  - [ü, \"z\"]\nempty:\nb: &n {c: *n2}\n".replace("&n {c: *n2}", "{c: d}");
    let node = yaml::parse("f.yml", &text).expect("parses");
    let mut places = Vec::new();
    collect(&node, &mut places);
    assert_eq!(
        places,
        [
            "1:1 {",
            "1:1 a",
            "1:4 1",
            "2:1 list",
            "3:3 [",
            "3:5 {",
            "3:5 x",
            "3:8 y",
            "4:5 [",
            "4:6 ü",
            "4:9 z",
            "5:1 empty",
            "5:1 ",
            "6:1 b",
            "6:4 {",
            "6:5 c",
            "6:8 d",
        ]
    );
}

fn collect(node: &Node, out: &mut Vec<String>) {
    let at = format!("{}:{}", node.place.line, node.place.column);
    match &node.value {
        yaml::Value::Scalar(scalar) => out.push(format!("{at} {}", scalar.text)),
        yaml::Value::List(items) => {
            out.push(format!("{at} ["));
            items.iter().for_each(|item| collect(item, out));
        }
        yaml::Value::Map(entries) => {
            out.push(format!("{at} {{"));
            for entry in entries {
                out.push(format!("{}:{} {}", entry.key_place.line, entry.key_place.column, entry.key));
                collect(&entry.value, out);
            }
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let problems = yaml::parse_bytes("f.yml", b"a: 1\nb: \xc3\xa4\xff\n").expect_err("not UTF-8");
    assert_eq!(problems.to_string(), "f.yml:2:5: expected UTF-8 text, found the byte 0xff");
}

#[test]
fn a_value_from_the_environment_is_yaml_unless_its_first_character_is_an_accident() {
    let read = |text: &str| yaml::parse_value("environment variable X", text);
    assert_eq!(yaml::decode::<Vec<String>>(&read("[a, b]").expect("a list")), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(yaml::decode::<Vec<u16>>(&read("1, 2").expect("commas")), Ok(vec![1, 2]));
    assert_eq!(yaml::decode::<Vec<String>>(&read("").expect("nothing")), Ok(vec![]));
    assert_eq!(yaml::decode::<u16>(&read("8080").expect("a number")), Ok(8080));
    for odd in ["@home", "*", "%x", "p: a: b"] {
        assert_eq!(yaml::decode::<String>(&read(odd).expect("a text")), Ok(odd.to_owned()));
    }
    let problems = read("[hunter2").expect_err("not closed").to_string();
    assert!(
        problems.starts_with("environment variable X: expected YAML") && !problems.contains("hunter2"),
        "{problems}"
    );
    let problems = yaml::decode::<Vec<u16>>(&read("1,hunter2").expect("text")).expect_err("no number").to_string();
    assert_eq!(
        problems,
        "environment variable X: [1]: expected a whole number from 0 to 65535, found a value that is not shown"
    );
}

#[test]
fn commas_make_a_list_only_outside_files() {
    let problems = yaml::from_str::<Vec<String>>("f.yml", "a,b").expect_err("a text");
    assert_eq!(problems.to_string(), "f.yml:1:1: expected a list of texts, found a single value");
}
