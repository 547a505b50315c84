import os
import stat

import pytest

from edge.results.row_files import RowWriter, cut_torn_line, read_rows
from edge.results.row_json import to_json
from onebit.errors import OnebitError, UsageError


def test_every_row_is_on_disk_before_the_next(tmp_path, make_row):
    path = tmp_path / "new" / "rows.jsonl"
    writer = RowWriter(path)
    for count in (1, 2):
        writer.write(make_row(threads=count))
        assert [row.setup.threads for row in read_rows([path])] == list(range(1, count + 1))
    writer.close()


def test_old_rows_stay_until_the_first_new_one(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    path.write_text(to_json(make_row(name="old")) + "\n")
    RowWriter(path).close()
    assert [row.model.name for row in read_rows([path])] == ["old"]
    writer = RowWriter(path)
    writer.write(make_row(name="new"))
    writer.close()
    assert [row.model.name for row in read_rows([path])] == ["new"]


def test_append_keeps_old_rows(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    path.write_text(to_json(make_row(name="old")) + "\n")
    writer = RowWriter(path, append=True)
    writer.write(make_row(name="new"))
    writer.close()
    assert [row.model.name for row in read_rows([path])] == ["old", "new"]


def test_no_row_leaves_no_file(tmp_path):
    RowWriter(tmp_path / "rows.jsonl").close()
    assert list(tmp_path.iterdir()) == []


def test_unwritable_output_is_known_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "rows.jsonl"):
        with pytest.raises(UsageError, match=f"cannot write {path}"):
            RowWriter(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_write_protected_folder_is_known_at_once(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UsageError, match="Permission denied"):
        RowWriter(tmp_path / "rows.jsonl")


def test_malformed_line_is_named_with_its_number(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    path.write_text(to_json(make_row()) + "\n\n" + '{"schema_version": 1}\n')
    with pytest.raises(OnebitError, match=rf"{path}, line 3 is not a result row: run is missing"):
        read_rows([path])
    path.write_text("no JSON\n")
    with pytest.raises(OnebitError, match="line 1 is not a result row"):
        read_rows([path])


def test_rows_of_several_files_keep_their_order(tmp_path, make_row):
    for name in ("b", "a"):
        (tmp_path / name).write_text(to_json(make_row(name=name)))
    assert [r.model.name for r in read_rows([tmp_path / "b", tmp_path / "a"])] == ["b", "a"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00binary"])
def test_unreadable_file_is_one_line(tmp_path, content):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OnebitError, match=str(path)) as raised:
        read_rows([path])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kept", [1, 5, 60])
def test_torn_line_is_cut_and_whole_ones_stay(make_row, tmp_path, kept):
    path = tmp_path / "rows.jsonl"
    line = to_json(make_row()).encode()
    path.write_bytes(line + b"\n" + line[:kept])
    cut_torn_line(path)
    assert path.read_bytes() == line + b"\n"
    cut_torn_line(path)
    assert path.read_bytes() == line + b"\n"


def test_file_that_never_held_rows_is_not_cut(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("first\nsecond")
    with pytest.raises(OnebitError, match="does not end with a result row"):
        cut_torn_line(path)
    assert path.read_text() == "first\nsecond"
    path.write_text("")
    cut_torn_line(path)
