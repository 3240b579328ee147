"""What a cell of an assignment is: nbgrader and our own tags say it in its metadata."""


def grading(cell):
    """What nbgrader is told about a cell; empty for cells that it does not know."""
    return cell.metadata.get("nbgrader", {})


def tags(cell):
    return cell.metadata.get("tags", [])


def is_picture(cell):
    """Whether a cell only draws what a task should look like."""
    return "picture" in tags(cell)


def is_solution(cell):
    """Whether students write a cell."""
    return bool(grading(cell).get("solution"))


def is_test(cell):
    """Whether a cell tests an answer; a written answer has points as well, given by hand."""
    return bool(grading(cell).get("grade")) and not is_solution(cell)
