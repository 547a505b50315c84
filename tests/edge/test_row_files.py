import contextlib
import dataclasses
import os
import resource
import stat

import pytest

from edge.results.row_files import RowWriter, read_rows, repair_rows
from edge.results.row_json import from_json, to_json
from onebit.errors import OnebitError, UsageError


def test_every_row_is_on_disk_before_the_next(tmp_path, make_row):
    path = tmp_path / "new" / "rows.jsonl"
    writer = RowWriter(path)
    for count in (1, 2):
        writer.write(make_row(threads=count))
        assert [row.setup.threads for row in read_rows([path])] == list(range(1, count + 1))
    writer.close()


def test_old_rows_are_replaced_by_the_first_new_one_if_asked(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    path.write_text(to_json(make_row(name="old")) + "\n")
    RowWriter(path, append=False).close()
    assert [row.model.name for row in read_rows([path])] == ["old"]
    writer = RowWriter(path, append=False)
    writer.write(make_row(name="new"))
    writer.close()
    assert [row.model.name for row in read_rows([path])] == ["new"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_old_rows_are_kept(tmp_path, make_row, end):
    path = tmp_path / "rows.jsonl"
    path.write_text(to_json(make_row(name="old")) + end)
    writer = RowWriter(path)
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


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_device_takes_no_rows(device):
    """Reading /dev/full, as a file of earlier rows, never ends."""
    with pytest.raises(UsageError, match=f"{device} is not a file.*--format jsonl"):
        RowWriter(device)


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
    repair_rows(path)
    assert path.read_bytes() == line + b"\n"
    repair_rows(path)
    assert path.read_bytes() == line + b"\n"


@pytest.mark.parametrize("append", [True, False])
@pytest.mark.parametrize(
    "content", [b"first\nsecond", b"TFL3", b'{"run": 1}\n', b"ROW\nnotes", b"notes\nROW", b"\xff\n"]
)
def test_file_of_something_else_is_refused_and_stays(tmp_path, make_row, content, append):
    path = tmp_path / "model.tflite"
    content = content.replace(b"ROW", to_json(make_row()).encode())
    path.write_bytes(content)
    with pytest.raises(UsageError, match="holds something other than result rows"):
        RowWriter(path, append)
    assert path.read_bytes() == content


def test_empty_file_takes_rows(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    writer = RowWriter(path)
    writer.write(make_row())
    writer.close()
    assert len(read_rows(path)) == 1


def test_password_in_an_old_row_is_masked(make_row):
    row = make_row()
    run = dataclasses.replace(row.run, command="edge bench --device ssh://pi:hunter2@board")
    host = dataclasses.replace(row.host, device="pi:hunter2@board")
    old = dataclasses.replace(row, run=run, host=host, status="failed", reason="pi:hunter2@board")
    read = from_json(to_json(old))
    assert "hunter2" not in to_json(read)
    assert read.run.command.endswith("ssh://pi:***@board")


def test_row_on_a_full_disk_is_one_line(tmp_path, make_row):
    """A limit of the file's size stands for the disk's."""
    path = tmp_path / "rows.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = RowWriter(path)
    writer.write(make_row())
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        with (
            pytest.raises(OnebitError, match=f"cannot write {path}: File too large"),
            contextlib.closing(writer),
        ):
            writer.write(make_row())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer = RowWriter(path)
    writer.write(make_row())
    writer.close()
    assert len(read_rows([path])) == 2
