"""Where tests of networks run: KANDINSKY_TEST_DEVICE, a torch device, by default the CPU. In fp32, wherever it is."""

import os

import torch

DEVICE = torch.device(os.environ.get("KANDINSKY_TEST_DEVICE", "cpu"))
