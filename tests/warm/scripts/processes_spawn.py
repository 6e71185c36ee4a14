# spare: argv
import multiprocessing
import sys


def work(queue, word):
    queue.put((word, __name__, sys.argv[1:], sys.modules["__main__"].__name__))


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue, sys.argv[1]))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
