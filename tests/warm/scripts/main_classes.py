# spare: argv
import dataclasses
import inspect
import pickle
import sys
import typing


@dataclasses.dataclass
class Point:
    x: "int"
    y: typing.Optional["Point"] = None


print(typing.get_type_hints(Point), Point(1), Point.__module__)
print(pickle.loads(pickle.dumps(Point(1, Point(2)))), len(sys.argv))
print(pickle.loads(pickle.dumps(Point)))
print(inspect.getsource(Point), inspect.getfile(Point), inspect.getmodule(Point))
