# spare: argv
import sys

print(__name__, __file__, __spec__, __package__, __doc__, type(__loader__), __loader__.path)
print(list(globals()))
print(globals().get("__cached__", 0), type(__builtins__), globals().get("__annotations__"))
print(sys.path[0], sys.modules["__main__"].__dict__ is globals(), sys.modules["__main__"])
print(type(sys.argv), sys.argv)
import __main__  # noqa: E402

print(__main__ is sys.modules["__main__"], __main__.__file__)
