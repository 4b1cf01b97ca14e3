"""Published networks and pipelines, small and with random weights, as factories of a few lines.

Nothing of them is part of this project: `diffusers` is imported, all other code is the user's own
checkout. A factory returns what `rp.cut` takes: the network, and its options.
"""

# ruff: noqa: D103, E731 (a factory is told by the name that it is entered under)
from __future__ import annotations

import collections.abc
import contextlib
import copy
import sys
import types
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Draw = Callable[[int, torch.Generator], Any]
Made = tuple[Any, dict[str, Any]]


@dataclass(frozen=True)
class Published:
    """A network as it was published."""

    code: str
    """`owner/name` of its repository, or the name of a package."""
    licence: str
    """Of the code."""
    kind: str
    cuts: tuple[str, ...]
    make: Callable[[], Made]
    unlike: str = ""
    """What is replaced, besides sizes."""


NETWORKS: dict[str, Published] = {}
"""By name."""
CODE: list[Path] = []
"""The folder of checkouts."""


def published(
    name: str, code: str, licence: str, kind: str, *cuts: str, unlike: str = ""
) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Enter a factory into `NETWORKS`."""

    def enter(make: Callable[[], Made]) -> Callable[[], Made]:
        NETWORKS[name] = Published(code, licence, kind, cuts, make, unlike)
        return make

    return enter


def diffusers(name: str, kind: str, *cuts: str, unlike: str = "") -> Any:
    """Enter a factory of the library."""
    return published(name, "diffusers", "Apache-2.0", kind, *cuts, unlike=unlike)


def normal(*shape: int) -> Draw:
    """Draw standard normal noise."""
    return lambda count, rng: torch.randn(count, *shape, generator=rng)


def label(classes: int) -> Draw:
    """Draw a class, each as likely."""
    return lambda count, rng: torch.randint(classes, (count,), generator=rng)


def one_hot(classes: int) -> Draw:
    """Draw a class, each as likely, as a vector."""
    return lambda count, rng: torch.eye(classes)[label(classes)(count, rng)]


def both(*draws: Draw, **options: Any) -> dict[str, Any]:
    """Draw latents in an order."""
    return {"sample_latents": lambda n, rng: tuple(draw(n, rng) for draw in draws), **options}


def alone(*shape: int, **options: Any) -> dict[str, Any]:
    """Draw noise alone."""
    return {"sample_latents": normal(*shape), **options}


class Run(nn.Module):
    """A network, and what is called to have a picture of it."""

    def __init__(self, run: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *latents: Tensor, **named: Tensor) -> Tensor:
        """Generate."""
        return self.run(self, *latents, **named)


def settled(network: nn.Module, *latents: Tensor, **given: Any) -> nn.Module:
    """Let spectral normalisations find the norms of random weights, as training does."""
    with torch.no_grad():
        for _ in range(20):
            network.train()(*latents, **given)
    return network


def without_kernels() -> None:
    """Let code be imported that compiles kernels for a GPU, which it does not call on a CPU."""
    import torch.utils.cpp_extension

    torch.utils.cpp_extension.load = lambda *_, **__: None


def stand_in(*modules: str, **known: Any) -> None:
    """Let code be imported that imports what its networks do not need."""

    def anything(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return known.get(name, object)

    for name in modules:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__getattr__ = anything  # type: ignore[method-assign]


# A network is a few lines, and stays so.
# fmt: off

# GANs

@published("StyleGAN2-ADA", "NVlabs/stylegan2-ada-pytorch", "NVIDIA, non-commercial", "GAN",
    "synthesis.b8", "synthesis.b16", "synthesis.b32.conv0")
def stylegan2_ada():
    from training.networks import Generator
    sizes = {"channel_base": 1024, "channel_max": 32}
    network = Generator(64, 0, 32, 64, 3, {"num_layers": 2}, sizes)
    return network, alone(64, fixed={"c": None, "noise_mode": "const", "force_fp32": True})

@published("StyleGAN3", "NVlabs/stylegan3", "NVIDIA, non-commercial", "GAN", "synthesis.L2_52_32",
    "synthesis.L4_52_32")
def stylegan3():
    from training.networks_stylegan3 import Generator
    sizes = {"channel_base": 1024, "channel_max": 32, "num_layers": 6}
    return Generator(64, 0, 32, 32, 3, {"num_layers": 2}, **sizes), alone(64, fixed={"c": None})

@published("StyleGAN2 (rosinality)", "rosinality/stylegan2-pytorch", "MIT", "GAN", "net.convs.1",
    "net.convs.3", "net.to_rgbs.1")
def stylegan2_rosinality():
    without_kernels()
    from model import Generator
    network = Generator(32, 64, 2, channel_multiplier=1)
    return Run(lambda self, z: self.net([z], randomize_noise=False)[0], net=network), alone(64)

@published("StyleGAN2 (lucidrains)", "lucidrains/stylegan2-pytorch", "MIT", "GAN", "G.blocks.1",
    "G.blocks.3", unlike="imported as if there were a GPU; S and G are called as by its trainer")
def stylegan2_lucidrains():
    stand_in("aim", "vector_quantize_pytorch")
    available, torch.cuda.is_available = torch.cuda.is_available, lambda: True
    from stylegan2_pytorch.stylegan2_pytorch import Generator, StyleVectorizer
    torch.cuda.is_available = available
    network = Generator(64, 64, network_capacity=4, attn_layers=[2])

    def generate(self: Any, z: Tensor, noise: Tensor) -> Tensor:
        styles = self.S(z)[:, None].expand(-1, network.num_layers, -1)
        return self.G(styles, noise)

    parts = {"S": StyleVectorizer(64, 2), "G": network}
    return Run(generate, **parts), both(normal(64), normal(64, 64, 1), image_range=(0, 1))

@published("Projected GAN (FastGAN)", "autonomousvision/projected-gan", "MIT", "GAN",
    "synthesis.feat_16", "synthesis.se_64", "synthesis.feat_128")
def projected_gan():
    from pg_modules.networks_fastgan import Generator
    return Generator(64, 0, 0, 128, 3, ngf=16, synthesis_kwargs={}), alone(64, fixed={"c": None})

@published("R3GAN", "brownvc/R3GAN", "none named", "GAN", "MainLayers.1", "MainLayers.3")
def r3gan():
    from R3GAN.Networks import Generator
    network = Generator(64, [64, 48, 32, 16], [4, 4, 4, 4], [2, 2, 2, 2], 2, 10, 16)
    return network, both(normal(64), one_hot(10))

@published("StyleSwin", "microsoft/StyleSwin", "MIT", "GAN", "layers.0", "layers.1", "to_rgbs.1")
def styleswin():
    without_kernels()
    from models.generator import Generator
    return Generator(16, 64, 2, channel_multiplier=1), alone(64)

@published("CIPS", "saic-mdal/CIPS", "MIT", "GAN, a pixel each", "net.linears.1", "net.linears.5",
    "net.to_rgbs.2", unlike="operations of rosinality/stylegan2-pytorch, which need no GPU")
def cips():
    without_kernels()
    sys.path.insert(0, str(CODE[0] / "rosinality/stylegan2-pytorch"))
    import op  # noqa: F401
    del sys.path[0]
    from model import CIPSskip
    from tensor_transforms import convert_to_coord_format
    network = CIPSskip(size=32, hidden_size=64, n_mlp=2, style_dim=64)
    places = convert_to_coord_format(1, 32, 32)
    run = lambda self, z: self.net(places.expand(len(z), -1, -1, -1), [z])[0]
    return Run(run, net=network), alone(64)

@published("TransGAN", "VITA-Group/TransGAN", "MIT", "GAN, transformer", "blocks",
    "upsample_blocks.0", unlike="get_device() gives the CPU")
def transgan():
    stand_in("torch._six", container_abcs=collections.abc)
    torch.Tensor.get_device = lambda tensor: tensor.device
    from models_search.ViT_custom_rp import Generator
    sizes = Namespace(bottom_width=8, gf_dim=128, g_norm="ln", g_mlp=4, g_depth="2,2,1",
        g_act="gelu", latent_dim=64, latent_norm=True)
    return Generator(sizes), alone(64, fixed={"epoch": 0})

@published("BigGAN", "ajbrock/BigGAN-PyTorch", "MIT", "GAN", "blocks.0.0", "blocks.2.0",
    "blocks.3.0")
def biggan():
    from BigGAN import Generator
    network = Generator(G_ch=8, dim_z=120, resolution=128, G_attn="64", n_classes=10,
        shared_dim=128, hier=True, skip_init=True, no_optim=True)
    return network, both(normal(120), normal(128))

@published("BigGAN-deep", "huggingface/pytorch-pretrained-BigGAN", "MIT", "GAN",
    "generator.layers.4", "generator.layers.8")
def biggan_deep():
    stand_in("boto3", "botocore", "botocore.exceptions", "requests")
    from pytorch_pretrained_biggan import BigGAN, BigGANConfig
    network = BigGAN(BigGANConfig(channel_width=16))
    nn.init.ones_(network.generator.bn.weight)
    nn.init.zeros_(network.generator.bn.bias)
    settled(network, torch.randn(1, 128), torch.eye(1000)[:1], 0.4)
    return network, both(normal(128), one_hot(1000), fixed={"truncation": 0.4})

@published("SAGAN (StudioGAN)", "POSTECH-CVLab/PyTorch-StudioGAN", "MIT", "GAN", "blocks.0.0",
    "blocks.1.0", "blocks.2.0")
def studiogan():
    sys.path.insert(0, f"{sys.path[0]}/src")
    stand_in("utils.misc", dummy_context_mgr=contextlib.nullcontext)
    import utils.ops as ops
    from models.resnet import Generator
    blocks = {"g_conv2d": ops.snconv2d, "g_linear": ops.snlinear,
        "g_bn": ops.ConditionalBatchNorm2d, "g_act_fn": nn.ReLU(inplace=True)}
    network = Generator(32, 32, 64, 8, True, [3], "cBN", 10, "ortho", None, False,
        Namespace(**blocks), Namespace(info_type="N/A", g_info_injection="N/A"))
    label = torch.tensor([3])
    settled(network, torch.randn(8, 32), label.expand(8))
    return network, both(normal(32), fixed={"label": label})

@published("Progressive GAN", "facebookresearch/pytorch_GAN_zoo", "BSD-3-Clause", "GAN",
    "scaleLayers.0.1", "scaleLayers.2.0")
def progressive():
    from models.networks.progressive_conv_net import GNet
    network = GNet(64, 64, generationActivation=nn.Tanh())
    for depth in (64, 32, 16):
        network.addScale(depth)
    return network, alone(64)

@published("DCGAN", "facebookresearch/pytorch_GAN_zoo", "BSD-3-Clause", "GAN", "main.relu1",
    "main.relu3")
def dcgan():
    from models.networks.DCGAN_nets import GNet
    return GNet(32, 3, 8), alone(32, 1, 1)

@published("StyleGAN", "facebookresearch/pytorch_GAN_zoo", "BSD-3-Clause", "GAN",
    "scaleLayers.0.3", "scaleLayers.2.1")
def stylegan():
    from models.networks.styleGAN import GNet
    network = GNet(32, 2, 64, 32)
    for depth in (64, 32, 16):
        network.addScale(depth)
    return network, alone(32)

# Image translation and restoration

@published("SPADE", "NVlabs/SPADE", "CC BY-NC-SA 4.0", "image translation", "head_0", "up_1",
    "up_3")
def spade():
    stand_in("models.networks.sync_batchnorm", "dill")
    from models.networks.generator import SPADEGenerator
    options = Namespace(ngf=8, semantic_nc=5, use_vae=False, crop_size=64, aspect_ratio=1.0,
        num_upsampling_layers="normal", norm_G="spectralspadebatch3x3")
    maps = lambda count, rng: one_hot(5)(count * 4096, rng).view(count, 64, 64, 5).movedim(3, 1)
    network = SPADEGenerator(options)
    return settled(network, maps(2, None)), {"sample_latents": maps}

@published("pix2pixHD", "NVlabs/SPADE", "CC BY-NC-SA 4.0", "image translation", "model.10",
    "model.14", "model.18")
def pix2pixhd():
    stand_in("models.networks.sync_batchnorm", "dill")
    from models.networks.generator import Pix2PixHDGenerator
    options = Namespace(ngf=8, label_nc=5, contain_dontcare_label=False, no_instance=True,
        output_nc=3, resnet_n_downsample=3, resnet_n_blocks=3, resnet_kernel_size=3,
        resnet_initial_kernel_size=7, norm_G="spectralinstance")
    return settled(Pix2PixHDGenerator(options), torch.randn(2, 5, 64, 64)), alone(5, 64, 64)

@published("U-GAT-IT", "znxlwm/UGATIT-pytorch", "MIT", "image translation", "DownBlock",
    "UpBlock1_1", "UpBlock2.3")
def ugatit():
    from networks import ResnetGenerator
    return ResnetGenerator(3, 3, ngf=8, n_blocks=2, img_size=64, light=True), alone(3, 64, 64,
        image=0)

@published("StarGAN v2", "clovaai/stargan-v2", "CC BY-NC 4.0", "image translation", "encode.3",
    "decode.1", "decode.4")
def stargan():
    stand_in("munch", "core.wing")
    from core.model import Generator
    return Generator(64, 16, 64, w_hpf=1), both(normal(3, 64, 64), normal(16))

@published("CUT (ResNet generator of CycleGAN)", "taesungp/contrastive-unpaired-translation",
    "BSD-2-Clause", "image translation", "model.12", "model.15", "model.20")
def cut_resnet():
    from models.networks import ResnetGenerator
    return ResnetGenerator(3, 3, 8, nn.InstanceNorm2d, n_blocks=3), alone(3, 64, 64)

@published("pix2pix (U-Net generator)", "taesungp/contrastive-unpaired-translation",
    "BSD-2-Clause", "image translation", "model.model.1.model.3", "model.model.1.model.3.model.3")
def pix2pix():
    from models.networks import UnetGenerator
    return UnetGenerator(3, 3, 6, 8, nn.InstanceNorm2d, use_dropout=True), alone(3, 64, 64)

@published("SwinIR", "JingyunLiang/SwinIR", "Apache-2.0", "super-resolution", "layers.0",
    "layers.1")
def swinir():
    from models.network_swinir import SwinIR
    network = SwinIR(img_size=32, embed_dim=24, depths=[2, 2], num_heads=[2, 2], window_size=8,
        upsampler="pixelshuffle")
    return network, {"sample_latents": lambda n, rng: torch.rand(n, 3, 32, 32, generator=rng),
        "image_range": (0, 1)}

@published("LaMa (Fourier convolutions)", "advimman/lama", "Apache-2.0", "inpainting", "model.5",
    "model.7", "model.11#2")
def lama():
    stand_in("pytorch_lightning")
    from saicinpainting.training.modules.ffc import FFCResNetGenerator
    start = {"ratio_gin": 0, "ratio_gout": 0, "enable_lfu": False}
    within = {"ratio_gin": 0.75, "ratio_gout": 0.75, "enable_lfu": False}
    network = FFCResNetGenerator(4, 3, ngf=8, n_blocks=3, init_conv_kwargs=start,
        downsample_conv_kwargs=start, resnet_conv_kwargs=within, add_out_act="sigmoid")
    return network, alone(4, 64, 64, image_range=(0, 1))

# Autoencoders and flows

@published("VDVAE", "openai/vdvae", "MIT", "VAE", "decoder.dec_blocks.2",
    "decoder.dec_blocks.2.resnet", "decoder.dec_blocks.5.resnet",
    unlike="the picture is the mean of the mixture")
def vdvae():
    stand_in("mpi4py", "apex")
    from hps import Hyperparams
    from vae import VAE
    sizes = Hyperparams(width=32, zdim=4, image_size=32, image_channels=3, num_mixtures=4,
        bottleneck_multiple=0.25, no_bias_above=64, custom_width_str="",
        dec_blocks="1x1,4m1,4x1,8m4,8x1,16m8,16x1,32m16",
        enc_blocks="32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1")
    network = VAE(sizes)
    blocks = network.decoder.dec_blocks
    draws = [normal(4, block.base, block.base) for block in blocks]

    def generate(self: Any, *latents: Tensor) -> Tensor:
        features = self.decoder.forward_manual_latents(len(latents[0]), latents)
        logits = self.decoder.out_net.forward(features)
        return logits[..., 4:7].movedim(3, 1).tanh()

    return Run(generate, decoder=network.decoder), both(*draws)

@published("VQ-VAE-2", "rosinality/vq-vae-2-pytorch", "MIT", "VQ-VAE", "dec.blocks.0",
    "dec.blocks.2", "dec.blocks.4")
def vqvae2():
    from vqvae import VQVAE
    network = VQVAE(channel=32, embed_dim=16)
    return network, both(normal(16, 8, 8), normal(16, 16, 16), call="decode")

@published("VQ-VAE-2, encoded photographs", "rosinality/vq-vae-2-pytorch", "MIT", "VQ-VAE",
    "enc_t", "quantize_b[0]", "dec.blocks.2")
def vqvae2_whole():
    from vqvae import VQVAE
    return VQVAE(channel=32, embed_dim=16), alone(3, 64, 64, image=0)

@published("VQGAN decoder", "CompVis/taming-transformers", "MIT", "VQGAN", "mid.block_2",
    "up.1.block.1", "up.0.block.0")
def vqgan():
    from taming.modules.diffusionmodules.model import Decoder
    network = Decoder(ch=32, out_ch=3, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=[16],
        in_channels=3, resolution=64, z_channels=8)
    return network, alone(8, 16, 16)

@published("DALL-E decoder", "openai/DALL-E", "modified MIT", "discrete VAE", "blocks.group_1",
    "blocks.group_3", "blocks.group_4.block_1")
def dalle():
    stand_in("requests")
    from dall_e import Decoder, unmap_pixels
    network = Decoder(n_init=16, n_hid=64, n_blk_per_group=1, vocab_size=512)
    codes = lambda count, rng: one_hot(512)(count * 64, rng).view(count, 8, 8, 512).movedim(3, 1)
    picture = lambda statistics: unmap_pixels(torch.sigmoid(statistics[:, :3]))
    return network, {"sample_latents": codes, "image": picture, "image_range": (0, 1)}

@published("MAR, decoder", "LTH14/mar", "MIT", "VAE", "decoder.mid.block_2",
    "decoder.up.2.block.2", "decoder.up.0.block.0")
def mar_decoder():
    from models.vae import AutoencoderKL
    network = AutoencoderKL(16, (1, 1, 2), ckpt_path=None)
    return network, alone(16, 16, 16, call="decode")

@published("Glow", "rosinality/glow-pytorch", "MIT", "flow", "net.blocks.1",
    "net.blocks.1.flows.2.coupling.net", "net.blocks.0.prior")
def glow():
    from model import Glow
    network = Glow(3, 4, 3)
    for module in network.modules():
        if hasattr(module, "initialized"):
            module.initialized.fill_(1)
    run = lambda self, *latents: self.net.reverse(latents)
    draws = (normal(6, 16, 16), normal(12, 8, 8), normal(48, 4, 4))
    return Run(run, net=network), both(*draws, image_range=(-0.5, 0.5))

@published("VanillaVAE (PyTorch-VAE)", "AntixK/PyTorch-VAE", "Apache-2.0", "VAE", "decoder.0",
    "decoder.2", "final_layer.2")
def vanilla_vae():
    from models import VanillaVAE
    return VanillaVAE(3, 32, [16, 32, 64, 512]), alone(32, call="decode")

@published("VQVAE (PyTorch-VAE)", "AntixK/PyTorch-VAE", "Apache-2.0", "VQ-VAE", "encoder.3",
    "vq_layer", "vq_layer[0]", "decoder.4", "decoder.8")
def vqvae():
    from models import VQVAE
    return VQVAE(3, 16, 64, [16, 32], img_size=32), alone(3, 32, 32, image=0)

# Diffusion networks, one call

@published("EDM (ddpm++)", "NVlabs/edm", "CC BY-NC-SA 4.0", "diffusion U-Net",
    "model.dec.8x8_block1", "model.dec.16x16_block0", "model.enc.16x16_block1")
def edm():
    from training.networks import EDMPrecond
    network = EDMPrecond(32, 3, 10, model_type="SongUNet", model_channels=16, num_blocks=2,
        channel_mult=[1, 2, 2])
    return network, both(lambda n, rng: 2.5 * normal(3, 32, 32)(n, rng),
        fixed={"sigma": torch.tensor(2.5), "class_labels": torch.eye(10)[:1]})

@published("EDM2", "NVlabs/edm2", "CC BY-NC-SA 4.0", "diffusion U-Net", "unet.dec.8x8_block1",
    "unet.dec.32x32_up", "unet.enc.16x16_block0")
def edm2():
    from training.networks_edm2 import Precond
    network = Precond(32, 3, 10, use_fp16=False, model_channels=16, num_blocks=1,
        channel_mult=[1, 2, 2])
    return network, both(normal(3, 32, 32), fixed={"sigma": torch.tensor(2.5),
        "class_labels": torch.eye(10)[:1]})

ADM = {"image_size": 32, "in_channels": 3, "model_channels": 32, "out_channels": 3,
    "num_res_blocks": 1, "attention_resolutions": (2, 4), "channel_mult": (1, 2, 2),
    "num_classes": 10, "num_heads": 2, "use_scale_shift_norm": True}

ADM_CUTS = ("middle_block", "output_blocks.1", "output_blocks.4")

def adm(network: nn.Module):
    """Call a network of the ADM family once, as consistency models do."""
    return network, both(normal(3, 32, 32), fixed={"timesteps": torch.tensor([500]),
        "y": torch.tensor([3])})

@published("ADM", "openai/guided-diffusion", "MIT", "diffusion U-Net", *ADM_CUTS)
def guided():
    from guided_diffusion.unet import UNetModel
    return adm(UNetModel(**ADM, resblock_updown=True))

def without_checkpoints():
    import guided_diffusion.unet as code
    code.checkpoint = lambda run, inputs, weights, flag: run(*inputs)

@published("ADM, checkpoints left out", "openai/guided-diffusion", "MIT", "diffusion U-Net",
    *ADM_CUTS, unlike="checkpoint(run, inputs, …) gives run(*inputs)")
def guided_without():
    without_checkpoints()
    return guided()

@published("Improved DDPM", "openai/improved-diffusion", "MIT", "diffusion U-Net", *ADM_CUTS)
def improved():
    stand_in("mpi4py")
    from improved_diffusion.unet import UNetModel
    return adm(UNetModel(**{k: v for k, v in ADM.items() if k not in ("image_size",)}))

@published("Consistency models", "openai/consistency_models", "MIT", "diffusion U-Net", *ADM_CUTS,
    unlike="attention that needs no kernel for a GPU")
def consistency():
    import cm.unet
    cm.unet.QKVFlashAttention = lambda channels, heads: cm.unet.QKVAttentionLegacy(heads)
    return adm(cm.unet.UNetModel(**ADM, resblock_updown=True))

TOKENS = {"input_size": 16, "hidden_size": 48, "depth": 4, "num_heads": 4, "num_classes": 10}

def of_class(network: nn.Module, cut_off: bool = True):
    """Call a transformer of classes once; of what it predicts the variance is left out."""
    image = (lambda out: out[:, :4]) if cut_off else None
    return network, both(normal(4, 16, 16), fixed={"t": torch.tensor([500.0]),
        "y": torch.tensor([3])}, image=image, image_range=(-3, 3))

@published("DiT", "facebookresearch/DiT", "CC BY-NC 4.0", "diffusion transformer", "blocks.1",
    "blocks.2.attn")
def dit():
    from models import DiT
    return of_class(DiT(**TOKENS))

@published("SiT", "willisma/SiT", "MIT", "diffusion transformer", "blocks.1", "blocks.3")
def sit():
    from models import SiT
    return of_class(SiT(**TOKENS), False)

@published("MDT", "sail-sg/MDT", "Apache-2.0", "diffusion transformer", "en_inblocks.0",
    "de_blocks.0")
def mdt():
    from masked_diffusion.models import MDTv2
    return of_class(MDTv2(**{**TOKENS, "depth": 6}, decode_layer=2, mask_ratio=0.3))

@published("U-ViT", "baofff/U-ViT", "MIT", "diffusion transformer", "mid_block", "out_blocks.0")
def uvit():
    from libs.uvit import UViT
    network = UViT(img_size=32, patch_size=4, embed_dim=48, depth=4, num_heads=4, num_classes=10)
    return network, both(normal(3, 32, 32), fixed={"timesteps": torch.tensor([500.0]),
        "y": torch.tensor([3])})

# Samplers of published code

def ncsnpp(**changes: Any) -> Namespace:
    """Configure an NCSN++ as for CIFAR-10, but smaller."""
    sizes = {"nf": 16, "ch_mult": (1, 2, 2), "num_res_blocks": 1, "attn_resolutions": (16,),
        "dropout": 0.1, "resamp_with_conv": True, "conditional": True, "fir": True,
        "fir_kernel": [1, 3, 3, 1], "skip_rescale": True, "resblock_type": "biggan",
        "progressive": "none", "progressive_input": "residual", "progressive_combine": "sum"}
    return Namespace(**{**sizes, **changes})

@published("NCSN++", "yang-song/score_sde_pytorch", "Apache-2.0", "diffusion U-Net",
    "all_modules.10", "all_modules.14")
def score_sde():
    without_kernels()
    from models.ncsnpp import NCSNpp
    config = Namespace(model=ncsnpp(embedding_type="fourier", fourier_scale=16, init_scale=0.0,
        sigma_min=0.01, sigma_max=50, num_scales=1000, scale_by_sigma=True, nonlinearity="swish"),
        data=Namespace(image_size=32, num_channels=3, centered=False),
        training=Namespace(continuous=True))
    config.model.attention_type = "ddpm"
    return NCSNpp(config), alone(3, 32, 32, fixed={"time_cond": torch.tensor([2.5])},
        image_range=(-3, 3))

@published("Denoising diffusion GAN", "NVlabs/denoising-diffusion-gan", "NVIDIA, non-commercial",
    "GAN and sampler", "net.all_modules.10#1", "net.all_modules.14#2",
    unlike="three steps in our words")
def ddgan():
    without_kernels()
    from score_sde.models.ncsnpp_generator_adagn import NCSNpp
    config = ncsnpp(embedding_type="positional", not_use_tanh=False, z_emb_dim=16,
        num_channels_dae=16, image_size=32, num_channels=3, nz=8, n_mlp=2, centered=True,
        fourier_scale=16)

    def generate(self: Any, x: Tensor) -> Tensor:
        for step in (2, 1, 0):
            time = torch.full((len(x),), step, device=x.device)
            x0 = self.net(x, time, torch.randn(len(x), 8))
            x = 0.6 * x0 + 0.3 * x + 0.1 * torch.randn_like(x) if step else x0
        return x

    return Run(generate, net=NCSNpp(config)), alone(3, 32, 32)

@published("EDM, its own sampler", "NVlabs/edm", "CC BY-NC-SA 4.0", "sampler",
    "net.model.dec.8x8_block1#2", "net.model.dec.16x16_block0#4")
def edm_steps():
    from generate import edm_sampler
    network, _ = edm()
    classes = torch.eye(10)[:1]
    run = lambda self, noise: edm_sampler(self.net, noise, classes.expand(len(noise), -1),
        num_steps=3)
    return Run(run, net=network), alone(3, 32, 32)

@published("DiT, its own sampler", "facebookresearch/DiT", "CC BY-NC 4.0", "sampler",
    "net.blocks.1#1", "net.blocks.2#2")
def dit_steps():
    from diffusion import create_diffusion
    network, _ = dit()
    diffusion = create_diffusion("ddim4")

    def generate(self: Any, noise: Tensor) -> Tensor:
        labels = torch.tensor([3, 10]).repeat_interleave(len(noise))
        given = {"y": labels, "cfg_scale": 4.0}
        noise = torch.cat([noise, noise])
        made = diffusion.ddim_sample_loop(self.net.forward_with_cfg, noise.shape, noise,
            clip_denoised=False, model_kwargs=given, device="cpu")
        return made.chunk(2)[0]

    return Run(generate, net=network), alone(4, 16, 16, image_range=(-3, 3))

@published("ADM, its own sampler", "openai/guided-diffusion", "MIT", "sampler",
    "net.middle_block#1", "net.output_blocks.4#3", unlike="checkpoints are left out")
def guided_steps():
    without_checkpoints()
    stand_in("mpi4py")
    from guided_diffusion.script_util import create_gaussian_diffusion
    network, _ = guided()
    diffusion = create_gaussian_diffusion(steps=1000, timestep_respacing="ddim3")

    def generate(self: Any, noise: Tensor) -> Tensor:
        given = {"y": torch.full((len(noise),), 3)}
        return diffusion.ddim_sample_loop(self.net, noise.shape, noise, model_kwargs=given,
            device="cpu")

    return Run(generate, net=network), alone(3, 32, 32)

def lucid_sampler() -> nn.Module:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    unet = Unet(16, dim_mults=(1, 2), attn_dim_head=8, attn_heads=2)
    return GaussianDiffusion(unet, image_size=16, timesteps=100, sampling_timesteps=3)

@contextlib.contextmanager
def drawn(noise: Tensor) -> Iterator[None]:
    """Let what a sampler draws first be its latents; it draws nothing else so."""
    randn, torch.randn = (torch.randn, lambda *_, **__: noise)
    try:
        yield
    finally:
        torch.randn = randn

def drawing(sample: Callable[[Any, Any], Tensor]):
    """Make pictures of what a sampler would draw."""

    def generate(self: Any, noise: Tensor) -> Tensor:
        with drawn(noise):
            return sample(self.net, noise.shape)

    return Run(generate, net=lucid_sampler()), alone(3, 16, 16, image_range=(0, 1))

LUCID_CUTS = ("net.model.mid_block1#2", "net.model.ups.1.0#3")

@published("DDIM sampler under inference_mode", "lucidrains/denoising-diffusion-pytorch", "MIT",
    "sampler", *LUCID_CUTS)
def lucid():
    return drawing(lambda sampler, shape: sampler.ddim_sample(shape))

@published("DDIM sampler without inference_mode", "lucidrains/denoising-diffusion-pytorch", "MIT",
    "sampler", *LUCID_CUTS, unlike="ddim_sample.__wrapped__")
def lucid_bare():
    return drawing(lambda sampler, shape: type(sampler).ddim_sample.__wrapped__(sampler, shape))

def var(smooth: bool):
    """Let a VAR draw all its scales, for a class."""
    from models.var import VAR
    from models.vqvae import VQVAE
    scales = (1, 2, 3, 4)
    decoder = VQVAE(64, 16, ch=32, v_patch_nums=scales)
    network = VAR(decoder, 10, 2, 48, 4, patch_nums=scales, attn_l2_norm=True)
    network.init_weights()
    run = lambda self, labels: self.net.autoregressive_infer_cfg(len(labels), labels,
        more_smooth=smooth)
    return Run(run, net=network, vae=decoder), {"sample_latents": label(10), "image_range": (0, 1)}

@published("VAR, drawn codes", "FoundationVision/VAR", "MIT", "autoregressive", "net.blocks.1#2",
    "vae.decoder.mid.block_2", "vae.decoder.up.2.block.0")
def var_drawn():
    return var(False)

@published("VAR, smooth codes", "FoundationVision/VAR", "MIT", "autoregressive", "net.blocks.0#1",
    "net.blocks.1#3", "vae.decoder.up.2.block.0")
def var_smooth():
    return var(True)

@published("MAR", "LTH14/mar", "MIT", "autoregressive", "net.decoder_blocks.0#2",
    "vae.decoder.mid.block_2", unlike=".cuda() does nothing")
def mar():
    from models.mar import MAR
    torch.Tensor.cuda = lambda tensor, *_, **__: tensor
    network = MAR(64, 4, encoder_embed_dim=32, encoder_depth=1, encoder_num_heads=4,
        decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=4, class_num=10, buffer_size=4,
        diffloss_d=1, diffloss_w=32, num_sampling_steps="3")
    run = lambda self, labels: self.vae.decode(self.net.sample_tokens(len(labels), 3,
        labels=labels))
    return Run(run, net=network, vae=mar_decoder()[0]), {"sample_latents": label(10)}

# diffusers: autoencoders

KL = {"block_out_channels": (16, 32), "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 8, "sample_size": 32}

KL_CUTS = ("decoder.mid_block", "decoder.up_blocks.0", "decoder.up_blocks.1.resnets.0")

@diffusers("AutoencoderKL", "VAE", *KL_CUTS)
def kl():
    from diffusers import AutoencoderKL
    return AutoencoderKL(**KL), {}

@diffusers("AutoencoderKL, as SD's", "VAE", "decoder.mid_block", "decoder.up_blocks.1")
def kl_published():
    from diffusers import AutoencoderKL
    sizes = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 64}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4}
    return AutoencoderKL(**blocks, **sizes), {}

@diffusers("AutoencoderTiny", "VAE", "decoder.layers.5", "decoder.layers.12")
def tiny():
    from diffusers import AutoencoderTiny
    return AutoencoderTiny(), alone(4, 16, 16)

@diffusers("VQModel", "VQ-VAE", *KL_CUTS)
def vq():
    from diffusers import VQModel
    network = VQModel(**KL, num_vq_embeddings=64)
    return network, alone(3, 16, 16, call="decode", image="sample")

@diffusers("VQModel, encoded photographs", "VQ-VAE", "encoder", "decoder.mid_block")
def vq_whole():
    from diffusers import VQModel
    return VQModel(**KL, num_vq_embeddings=64), alone(3, 32, 32, image="sample")

@diffusers("AsymmetricAutoencoderKL", "VAE", "decoder.mid_block", "decoder.up_blocks.0")
def asymmetric():
    from diffusers import AsymmetricAutoencoderKL
    sizes = {"down_block_out_channels": (16, 32), "up_block_out_channels": (24, 48)}
    kinds = {name: KL[name] for name in ("down_block_types", "up_block_types", "norm_num_groups")}
    network = AsymmetricAutoencoderKL(**sizes, **kinds)
    return network, alone(4, 16, 16, call="decode", image="sample")

@diffusers("ConsistencyDecoderVAE", "VAE and sampler", "decoder_unet.mid_block#1",
    "decoder_unet.up_blocks.0#2")
def consistency_decoder():
    from diffusers import ConsistencyDecoderVAE
    network = ConsistencyDecoderVAE(encoder_block_out_channels=(32, 64),
        encoder_down_block_types=("DownEncoderBlock2D",) * 2, decoder_block_out_channels=(32, 64),
        decoder_layers_per_block=1, decoder_down_block_types=("ResnetDownsampleBlock2D",) * 2,
        decoder_up_block_types=("ResnetUpsampleBlock2D",) * 2)
    return network, alone(4, 4, 4, call="decode", image="sample")

@diffusers("AutoencoderDC", "VAE", "decoder.conv_in", "decoder.up_blocks.2", "decoder.up_blocks.1")
def dc():
    from diffusers import AutoencoderDC
    sides = {f"{side}_{name}": value for side in ("encoder", "decoder") for name,
        value in {"block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
        "block_out_channels": (16, 32, 64), "layers_per_block": (1, 1, 2),
        "qkv_multiscales": ((), (), (5,))}.items()}
    network = AutoencoderDC(latent_channels=8, attention_head_dim=8, **sides)
    return network, alone(8, 8, 8, call="decode", image="sample")

@diffusers("AutoencoderRAE", "VAE", "decoder.decoder_layers.0", "decoder.decoder_layers.2")
def rae():
    from diffusers import AutoencoderRAE
    network = AutoencoderRAE(encoder_hidden_size=64, encoder_num_hidden_layers=1,
        decoder_hidden_size=48, decoder_num_hidden_layers=4, decoder_num_attention_heads=4,
        decoder_intermediate_size=96, patch_size=4, encoder_input_size=112, image_size=32)
    return network, alone(64, 8, 8, call="decode", image="sample")

# diffusers: networks, one call

T = torch.tensor([500.0])

def predicted(network: nn.Module, channels: int, side: int, *, image: Any = "sample", **fixed: Any):
    """Call a network once; what it predicts is the picture."""
    latents = both(normal(channels, side, side))
    return network, {**latents, "fixed": fixed, "image": image, "image_range": (-3, 3)}

def words(width: int, count: int = 5) -> Tensor:
    """Stand for a prompt."""
    return torch.randn(1, count, width, generator=torch.Generator().manual_seed(2))

UNET = {"sample_size": 16, "block_out_channels": (16, 32), "layers_per_block": 1,
    "norm_num_groups": 8}

UNET_CUTS = ("mid_block", "up_blocks.0", "up_blocks.1.resnets.0")

@diffusers("UNet2DModel", "diffusion U-Net", *UNET_CUTS)
def unet():
    return predicted(unet2d(), 3, 16, timestep=T)

def unet2d() -> nn.Module:
    from diffusers import UNet2DModel
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    return UNet2DModel(**UNET, **blocks)

def unet_of_words(**changes: Any) -> nn.Module:
    from diffusers import UNet2DConditionModel
    kinds = {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
    return UNet2DConditionModel(**UNET, **kinds, cross_attention_dim=8, attention_head_dim=4,
        **changes)

@diffusers("UNet2DConditionModel", "diffusion U-Net", *UNET_CUTS)
def unet_condition():
    return predicted(unet_of_words(), 4, 16, timestep=T, encoder_hidden_states=words(8))

@diffusers("Kandinsky3UNet", "diffusion U-Net", "up_blocks.0", "up_blocks.2")
def kandinsky3():
    from diffusers import Kandinsky3UNet
    network = Kandinsky3UNet(time_embedding_dim=32, groups=4, attention_head_dim=8,
        layers_per_block=2, block_out_channels=(16, 32, 32, 32), cross_attention_dim=16,
        encoder_hid_dim=8)
    return predicted(network, 4, 16, timestep=T, encoder_hidden_states=words(8),
        encoder_attention_mask=torch.ones(1, 5))

@diffusers("StableCascadeUNet, decoder", "diffusion U-Net", "up_blocks.0.0", "up_blocks.1.0")
def cascade():
    from diffusers import StableCascadeUNet
    network = StableCascadeUNet(in_channels=4, out_channels=4, patch_size=2, conditioning_dim=32,
        block_out_channels=(16, 32), num_attention_heads=(-1, 4), down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1), down_blocks_repeat_mappers=(1, 1),
        up_blocks_repeat_mappers=(1, 1), block_types_per_layer=(("SDCascadeResBlock",
        "SDCascadeTimestepBlock"), ("SDCascadeResBlock", "SDCascadeTimestepBlock",
        "SDCascadeAttnBlock")), clip_text_pooled_in_channels=8, effnet_in_channels=4,
        timestep_conditioning_type=("sca",))
    return predicted(network, 4, 16, timestep_ratio=torch.tensor([0.5]),
        clip_text_pooled=words(8, 1), effnet=torch.randn(1, 4, 4, 4))

@diffusers("DiTTransformer2DModel", "diffusion transformer", "transformer_blocks.0",
    "transformer_blocks.2.ff")
def dit_diffusers():
    return predicted(dit2d(), 4, 16, image=lambda out: out.sample[:, :4],
        timestep=torch.tensor([500]), class_labels=torch.tensor([3]))

def dit2d() -> nn.Module:
    from diffusers import DiTTransformer2DModel
    return DiTTransformer2DModel(sample_size=16, num_layers=3, attention_head_dim=8,
        num_attention_heads=4, in_channels=4, out_channels=8, num_embeds_ada_norm=1000)

@diffusers("PixArtTransformer2DModel", "diffusion transformer", "transformer_blocks.0",
    "transformer_blocks.2.attn1")
def pixart():
    from diffusers import PixArtTransformer2DModel
    network = PixArtTransformer2DModel(num_attention_heads=4, attention_head_dim=8, num_layers=3,
        sample_size=16, cross_attention_dim=32, caption_channels=8)
    sizes = {"resolution": None, "aspect_ratio": None}
    return predicted(network, 4, 16, image=lambda out: out.sample[:, :4], timestep=T,
        encoder_hidden_states=words(8), added_cond_kwargs=sizes)

SD3 = {"sample_size": 16, "patch_size": 2, "in_channels": 4, "out_channels": 4, "num_layers": 3,
    "attention_head_dim": 8, "num_attention_heads": 4, "joint_attention_dim": 16,
    "caption_projection_dim": 32, "pooled_projection_dim": 16, "pos_embed_max_size": 16}

@diffusers("SD3Transformer2DModel", "diffusion transformer", "transformer_blocks.0",
    "transformer_blocks.1[1]")
def sd3_transformer():
    from diffusers import SD3Transformer2DModel
    return predicted(SD3Transformer2DModel(**SD3), 4, 16, timestep=T,
        encoder_hidden_states=words(16), pooled_projections=torch.randn(1, 16))

FLUX = {"in_channels": 16, "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": 8, "pooled_projection_dim": 8,
    "axes_dims_rope": (4, 6, 6)}

def tokens(side: int, columns: int = 3) -> Tensor:
    """Give each place of a picture its row and column."""
    rows = torch.arange(side**2)
    return torch.stack([torch.zeros(side**2), rows // side, rows % side], 1)[:, :columns]

class OfTokens(nn.Module):
    """A transformer of tokens, a token a pixel of 16 channels."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, noise: Tensor, **given: Any) -> Tensor:
        """Predict."""
        predicted = self.transformer(noise.flatten(2).mT, **given).sample
        return predicted[:, : noise[0, 0].numel()].mT.unflatten(2, noise.shape[2:])

@diffusers("FluxTransformer2DModel", "diffusion transformer", "transformer.transformer_blocks.0",
    "transformer.single_transformer_blocks.0")
def flux_transformer():
    from diffusers import FluxTransformer2DModel
    return predicted(OfTokens(FluxTransformer2DModel(**FLUX)), 16, 8, image=None,
        timestep=torch.tensor([0.5]), encoder_hidden_states=words(8),
        pooled_projections=torch.randn(1, 8), img_ids=tokens(8), txt_ids=torch.zeros(5, 3))

@diffusers("QwenImageTransformer2DModel", "diffusion transformer",
    "transformer.transformer_blocks.0", "transformer.transformer_blocks.1[1]")
def qwen():
    from diffusers import QwenImageTransformer2DModel
    network = QwenImageTransformer2DModel(in_channels=16, out_channels=4, num_layers=3,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=8,
        axes_dims_rope=(4, 6, 6))
    return predicted(OfTokens(network), 16, 8, image=None, timestep=torch.tensor([0.5]),
        encoder_hidden_states=words(8), encoder_hidden_states_mask=torch.ones(1, 5),
        img_shapes=[(1, 8, 8)])

@diffusers("SanaTransformer2DModel", "diffusion transformer", "transformer_blocks.0",
    "transformer_blocks.1.attn1")
def sana(channels=4):
    from diffusers import SanaTransformer2DModel
    network = SanaTransformer2DModel(in_channels=channels, out_channels=channels,
        num_attention_heads=4, attention_head_dim=8, num_layers=3, num_cross_attention_heads=4,
        cross_attention_head_dim=8, cross_attention_dim=32, caption_channels=8, sample_size=16)
    return predicted(network, channels, 16, timestep=T, encoder_hidden_states=words(8))

@diffusers("HunyuanDiT2DModel", "diffusion transformer", "blocks.1", "blocks.2")
def hunyuan():
    from diffusers import HunyuanDiT2DModel
    from diffusers.models.embeddings import get_2d_rotary_pos_embed
    network = HunyuanDiT2DModel(num_attention_heads=4, attention_head_dim=8, in_channels=4,
        patch_size=2, sample_size=16, hidden_size=32, num_layers=4, cross_attention_dim=8,
        cross_attention_dim_t5=8, pooled_projection_dim=8, text_len=5, text_len_t5=6)
    places = get_2d_rotary_pos_embed(8, ((0, 0), (8, 8)), (8, 8), output_type="pt")
    return predicted(network, 4, 16, image=lambda out: out.sample[:, :4], timestep=T,
        encoder_hidden_states=words(8), text_embedding_mask=torch.ones(1, 5),
        encoder_hidden_states_t5=words(8, 6), text_embedding_mask_t5=torch.ones(1, 6),
        image_meta_size=torch.tensor([[16, 16, 16, 16, 0, 0]]), style=torch.tensor([0]),
        image_rotary_emb=places)

@diffusers("LuminaNextDiT2DModel", "diffusion transformer", "layers.0", "layers.1.attn1")
def lumina():
    from diffusers import LuminaNextDiT2DModel
    from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
    network = LuminaNextDiT2DModel(sample_size=16, hidden_size=32, num_layers=3,
        num_attention_heads=4, num_kv_heads=4, multiple_of=16, cross_attention_dim=8)
    return predicted(network, 4, 16, image=lambda out: out.sample[:, :4],
        timestep=torch.tensor([0.5]), encoder_hidden_states=words(8),
        encoder_mask=torch.ones(1, 5), image_rotary_emb=get_2d_rotary_pos_embed_lumina(8, 384,
        384), cross_attention_kwargs={})

@diffusers("AuraFlowTransformer2DModel", "diffusion transformer", "joint_transformer_blocks.0",
    "single_transformer_blocks.0")
def auraflow():
    from diffusers import AuraFlowTransformer2DModel
    network = AuraFlowTransformer2DModel(sample_size=16, num_mmdit_layers=2,
        num_single_dit_layers=2, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=8, caption_projection_dim=32, pos_embed_max_size=64)
    return predicted(network, 4, 16, timestep=T, encoder_hidden_states=words(8))

@diffusers("CogView3PlusTransformer2DModel", "diffusion transformer", "transformer_blocks.0",
    "transformer_blocks.1[0]")
def cogview3():
    from diffusers import CogView3PlusTransformer2DModel
    network = CogView3PlusTransformer2DModel(in_channels=4, out_channels=4, num_layers=3,
        attention_head_dim=8, num_attention_heads=4, text_embed_dim=8, time_embed_dim=16,
        condition_dim=8, pos_embed_max_size=16, sample_size=16)
    size = torch.tensor([[16.0, 16.0]])
    return predicted(network, 4, 16, timestep=T, encoder_hidden_states=words(8),
        original_size=size, target_size=size, crop_coords=0 * size)

@diffusers("UVit2DModel (aMUSEd)", "masked transformer", "transformer_layers.0", "up_block",
    unlike="the logits of the first three codes are the picture")
def amused():
    from diffusers import UVit2DModel
    network = UVit2DModel(hidden_size=32, cond_embed_dim=8, micro_cond_encode_dim=4,
        micro_cond_embed_dim=20, encoder_hidden_size=8, vocab_size=66, codebook_size=64,
        in_channels=16, block_out_channels=16, num_res_blocks=1, block_num_heads=4,
        num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, sample_size=16)
    codes = lambda count, rng: torch.randint(64, (count, 16, 16), generator=rng)
    fixed = {"encoder_hidden_states": words(8), "pooled_text_emb": torch.randn(1, 8),
        "micro_conds": torch.ones(1, 5)}
    return network, both(codes, fixed=fixed, image=lambda out: out[:, :3], image_range=(-3, 3))

@diffusers("ZImageTransformer2DModel", "diffusion transformer", "net.layers.0", "net.layers.1",
    unlike="lists of pictures become a batch")
def z_image():
    from diffusers import ZImageTransformer2DModel
    network = ZImageTransformer2DModel(in_channels=4, dim=32, n_layers=3, n_refiner_layers=1,
        n_heads=2, n_kv_heads=2, cap_feat_dim=8, axes_dims=[4, 6, 6], axes_lens=[64, 32, 32])
    prompt = words(8)[0]

    def generate(self: Any, noise: Tensor) -> Tensor:
        pictures, count = (list(noise[:, :, None]), len(noise))
        made = self.net(pictures, T.expand(count) / 1000, [prompt] * count).sample
        return torch.stack(list(made))[:, :, 0]

    return Run(generate, net=network), alone(4, 16, 16, image_range=(-3, 3))

# diffusers: samplers and pipelines

def mild(kind: str, **settings: Any) -> Any:
    """Return a scheduler that does not divide by small numbers."""
    import diffusers
    return getattr(diffusers, kind)(beta_end=0.002, **settings)

@diffusers("UNet2DModel and DPM-Solver", "sampler", "unet.mid_block#1", "unet.mid_block#3",
    "unet.up_blocks.0#4")
def dpm():
    return (unet2d(), mild("DPMSolverMultistepScheduler")), {"steps": 4}

@diffusers("DDPMPipeline", "pipeline", "unet.mid_block#2", "unet.up_blocks.1#4")
def ddpm():
    from diffusers import DDPMPipeline
    return DDPMPipeline(unet2d(), mild("DDPMScheduler")), {"steps": 4}

@diffusers("DDIMPipeline", "pipeline", "unet.mid_block#2", "unet.up_blocks.1#4")
def ddim():
    from diffusers import DDIMPipeline
    return DDIMPipeline(unet2d(), mild("DDIMScheduler")), {"steps": 4}

@diffusers("ConsistencyModelPipeline", "pipeline", "unet.mid_block#1", "unet.up_blocks.0#2")
def consistency_pipeline():
    from diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline
    return ConsistencyModelPipeline(unet2d(), CMStochasticIterativeScheduler()), {"steps": 2}

def vae(**changes: Any) -> nn.Module:
    from diffusers import AutoencoderKL
    return AutoencoderKL(**KL, latent_channels=4, **changes)

@diffusers("DiTPipeline", "pipeline", "transformer.transformer_blocks.0#2",
    "vae.decoder.up_blocks.0")
def dit_pipeline():
    from diffusers import DiTPipeline
    return DiTPipeline(dit2d(), vae(), mild("DDIMScheduler", clip_sample=False)), {"steps": 2}

def flow() -> Any:
    """Return a scheduler of straight paths."""
    from diffusers import FlowMatchEulerDiscreteScheduler
    return FlowMatchEulerDiscreteScheduler()

TEXTS = {"text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}

SD_CUTS = ("unet.mid_block#1", "unet.up_blocks.0#2", "vae.decoder.up_blocks.0")

@diffusers("StableDiffusionPipeline", "pipeline", *SD_CUTS)
def stable():
    from diffusers import StableDiffusionPipeline
    pipeline = StableDiffusionPipeline(vae(), unet=unet_of_words(),
        scheduler=mild("PNDMScheduler", skip_prk_steps=True), **TEXTS,
        requires_safety_checker=False)
    return pipeline, {"steps": 3, "fixed": {"prompt_embeds": words(8),
        "negative_prompt_embeds": 0 * words(8)}}

@diffusers("StableDiffusionXLPipeline", "pipeline", *SD_CUTS)
def xl():
    from diffusers import StableDiffusionXLPipeline
    sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 8 + 6 * 4}
    pipeline = StableDiffusionXLPipeline(vae(), None, None, None, None, unet_of_words(**sizes),
        mild("EulerDiscreteScheduler"))
    fixed = {"prompt_embeds": words(8), "negative_prompt_embeds": 0 * words(8),
        "pooled_prompt_embeds": words(8)[:, 0], "negative_pooled_prompt_embeds": 0 * words(8)[:, 0]}
    return pipeline, {"steps": 2, "fixed": fixed}

@diffusers("LatentConsistencyModelPipeline", "pipeline", *SD_CUTS)
def lcm():
    from diffusers import LatentConsistencyModelPipeline
    pipeline = LatentConsistencyModelPipeline(vae(), unet=unet_of_words(time_cond_proj_dim=8),
        scheduler=mild("LCMScheduler"), **TEXTS, requires_safety_checker=False)
    return pipeline, {"steps": 2, "fixed": {"prompt_embeds": words(8)}}

@diffusers("StableDiffusion3Pipeline", "pipeline", "transformer.transformer_blocks.0#1",
    "transformer.transformer_blocks.1#2", "vae.decoder.up_blocks.0")
def sd3():
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
    pipeline = StableDiffusion3Pipeline(SD3Transformer2DModel(**SD3), flow(),
        vae(shift_factor=0.1), *[None] * 6)
    fixed = {"prompt_embeds": words(16), "negative_prompt_embeds": 0 * words(16),
        "pooled_prompt_embeds": words(16)[:, 0], "negative_pooled_prompt_embeds": 0 * words(16)[:,
        0]}
    return pipeline, {"steps": 2, "fixed": fixed}

@diffusers("FluxPipeline", "pipeline", "transformer.transformer_blocks.0#1",
    "transformer.single_transformer_blocks.1#2", "vae.decoder.up_blocks.0")
def flux():
    from diffusers import FluxPipeline, FluxTransformer2DModel
    network = FluxTransformer2DModel(**FLUX, guidance_embeds=True)
    pipeline = FluxPipeline(flow(), vae(shift_factor=0.1), *[None] * 4, network)
    fixed = {"prompt_embeds": words(8), "pooled_prompt_embeds": words(8)[:, 0], "height": 32,
        "width": 32}
    return pipeline, {"steps": 2, "fixed": fixed}

@diffusers("SanaPipeline", "pipeline", "transformer.transformer_blocks.0#1")
def sana_pipeline():
    from diffusers import SanaPipeline
    return SanaPipeline(None, None, dc()[0], sana(8)[0], flow()), {"steps": 2}

def in_a_module(pipeline: Any, channels: int, **given: Any):
    """Make pictures by a pipeline that is not known, of the networks of the module it is in."""
    networks = {name: getattr(pipeline, name) for name in ("transformer", "vae")}
    pipeline.set_progress_bar_config(disable=True)
    prompt = {"prompt_embeds": words(8), "prompt_attention_mask": torch.ones(1, 5)}
    unprompted = {f"negative_{name}": value for name, value in prompt.items()}

    sides = given.pop("sides")

    def generate(self: Any, noise: Tensor) -> Tensor:
        own = copy.copy(pipeline)
        vars(own).update(transformer=self.transformer, vae=self.vae,
            scheduler=copy.deepcopy(pipeline.scheduler))
        embedded = {name: value.repeat(len(noise), *[1] * (value.ndim - 1))
            for name, value in {**prompt, **unprompted}.items()}
        return own(**embedded, negative_prompt=None, latents=noise, num_inference_steps=2,
            height=32, width=32, use_resolution_binning=False, output_type="pt", **given).images

    return Run(generate, **networks), alone(channels, *sides, image_range=(0, 1))

@diffusers("SanaPipeline, in a module", "pipeline", "transformer.transformer_blocks.0#1",
    "transformer.transformer_blocks.1#2", "vae.decoder.up_blocks.1")
def sana_in_a_module():
    from diffusers import SanaPipeline
    pipeline = SanaPipeline(None, None, dc()[0], sana(8)[0], flow())
    return in_a_module(pipeline, 8, sides=(8, 8))

@diffusers("PixArtSigmaPipeline, in a module", "pipeline", "transformer.transformer_blocks.0#1",
    "transformer.transformer_blocks.1#2", "vae.decoder.up_blocks.0")
def pixart_in_a_module():
    from diffusers import PixArtSigmaPipeline
    pipeline = PixArtSigmaPipeline(None, None, vae(), pixart()[0], mild("DDIMScheduler"))
    return in_a_module(pipeline, 4, sides=(16, 16))

@diffusers("PNDM pair of a UNet2DModel", "sampler", "unet.mid_block#2", "unet.mid_block#5")
def pndm():
    return (unet2d(), mild("PNDMScheduler")), {"steps": 4}
